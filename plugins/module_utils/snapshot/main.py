"""Collect the snapshot, and print it when run by hand.

The work is split: this process reads the containers, a second one the host, a third one everything else
that the engine knows or that depends on it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from _thread import start_new_thread
from json import loads

from ..contract import COLLECT_LIMIT, beside
from ..host import limits, processes, units
from ..host.once import Once
from . import VERSION, mounts
from .scheduler import Helper, encode, read

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor

SCHEMA = "hardener/snapshot/2"
_REST = """
    audit.loaded audit.persistent block_devices daemon.config docker.images docker.info docker.networks
    docker.plugins docker.swarm docker.version docker.volumes engine environment files firewall groups
    hardener.runs hardener.scan hardener.trust listening lsm modules mounts network next_boot packages
    sysctl system units users
"""
REST = tuple(_REST.split())  # sources that the other processes read
FIND_LIMIT = 45  # seconds to find the engine
REST_LIMIT = 95  # seconds for each of the other processes; every source in them has a shorter limit
_REPORT = "!report"  # of the third process: secrets that it redacted, and files of which it has records
# The group matches a lone surrogate, which UTF-8 cannot encode. Pairs and backslashes are skipped.
_HALVES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(\\ud[89a-f][0-9a-f]{2})")
_LOST = '{"state":"failed","ms":0,"error":"the process that read it was lost"}'


def collect(arguments: dict[str, Any]) -> bytes:
    """Return the snapshot of this host as JSON, without the inventory's data.

    Args:
        arguments: ``socket``, the engine's API socket if it is not to be searched; ``limit``, seconds after
            which this process ends in any case; it also bounds its memory.
    """
    if arguments.get("limit"):
        limits.hold(int(arguments["limit"]))
    begun, now = time.monotonic(), time.time()
    host = Helper(_host, REST_LIMIT)
    # What follows is imported while the host is read, and then while systemd and the engine answer.
    from ..docker import engine

    running, known_units = Once(processes.scan), Once(units.read)
    found = Once(lambda: engine.find(running, known_units, arguments.get("socket")), FIND_LIMIT)
    start_new_thread(found.get_or, (None,))
    from ..host.redact import Redactor
    from . import docker, filestat, seccomp, sockets, unixsockets  # noqa: F401 - compiled once for both

    redactor = Redactor()
    found.get_or(None)
    rest = Helper(lambda: _rest(found, running, known_units, redactor), REST_LIMIT)
    from .containers import Containers

    containers = Containers(found, Once(lambda: mounts.read(layers=False)), redactor)
    entries = {"docker.containers": containers.entry(), **dict.fromkeys(REST, _LOST)}
    more_files = containers.mounted_files()
    entries.update(host.result())
    entries.update(rest.result())
    others = loads(entries.pop(_REPORT, '{"secrets":[],"secrets_cut":true,"files":[]}'))
    known = set(others["files"])
    more_files = {path: record for path, record in more_files.items() if path not in known}
    entries["files"] = _with_elements(entries["files"], encode(more_files))
    entries["listening"] = _with_elements(entries["listening"], encode(containers.listening))
    head = {
        "schema": SCHEMA,
        "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "collector": {
            "version": VERSION,
            "euid": os.geteuid(),
            "python": sys.version.split()[0],
            "elapsed_ms": int((time.monotonic() - begun) * 1000),
            "digest_key": redactor.key_source,
            "secrets": redactor.secrets + others["secrets"],
            "secrets_cut": redactor.secrets_cut or others["secrets_cut"],
        },
    }
    sources = ",".join(f"{encode(name)}:{entry}" for name, entry in entries.items())
    return _without_lone_surrogates(f'{encode(head)[:-1]},"sources":{{{sources}}}}}').encode("ascii")


def _host() -> dict[str, str]:
    """Run the second process: return entries of the sources that need no other fact."""
    from .standalone import plan

    return read(plan())


def _rest(found: Once, running: Once, known_units: Once, redactor: Redactor) -> dict[str, str]:
    """Run the third process: return entries of the other sources, and the secrets that it redacted."""
    from .sources import EngineSources

    rest = EngineSources(found, running, known_units, redactor)
    entries = read(rest.plan())
    return {**entries, _REPORT: encode({**redactor.report(), "files": rest.paths()})}


def _with_elements(entry: str, more: str) -> str:
    """Append elements to the list or object of an encoded source; one without data stays unchanged.

    Nothing is decoded: ``…,"data":[1]}`` and ``[2]`` give ``…,"data":[1,2]}``.
    """
    if not entry.startswith('{"state":"ok"') or len(more) == len("[]"):
        return entry
    comma = "" if entry[-3] in "[{" else ","
    return f"{entry[:-2]}{comma}{more[1:]}}}"


def _without_lone_surrogates(text: str) -> str:
    """Return JSON without lone surrogates, which JSON can represent and UTF-8 cannot."""
    if "\\ud" not in text:
        return text
    return _HALVES.sub(lambda match: "?" if match.group(1) else match.group(), text)


def main() -> None:
    """Print the snapshot; ``--socket=PATH`` names the engine's API socket."""
    if any(not word.startswith("--socket=") for word in sys.argv[1:]):
        sys.stderr.write("usage: host_snapshot.pyz [--socket=PATH]\n")
        sys.exit(0 if "--help" in sys.argv else 2)
    options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
    if sys.stdout is None:
        sys.exit("cannot print the snapshot: there is no standard output")
    known = {"host": os.uname().nodename, "policy": {}}  # there is no inventory
    snapshot = beside(collect({"limit": COLLECT_LIMIT, **options}), known) + b"\n"
    code = 0
    try:
        sys.stdout.buffer.write(snapshot)
        sys.stdout.buffer.flush()
    except OSError as error:
        code = 1
        sys.stderr.write(f"cannot print the snapshot: {error.strerror}\n")
    os._exit(code)  # without waiting for threads that hang
