"""Collect the snapshot, and print it when run by hand.

The work is split in two: this process reads the containers, which is most of it, a second one all the rest.
"""

from __future__ import annotations

import os
import re
import sys
import time
from _thread import start_new_thread
from json import loads

from ..contract import beside
from ..docker import engine
from ..host import limits, processes, units
from ..host.once import Once
from . import VERSION, mounts
from .reading import Helper, encode, read

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor

SCHEMA = "hardener/snapshot/2"
_REST = """
    audit.loaded audit.persistent block_devices daemon.config docker.images docker.info docker.networks
    docker.plugins docker.swarm docker.version docker.volumes engine environment files firewall groups
    hardener.runs hardener.scan hardener.trust listening lsm modules mounts next_boot packages sysctl
    system units users
"""
REST = tuple(_REST.split())  # the sources that the second process reads
LIMIT = 120  # seconds for all; every source has a shorter one of its own
_FIND_LIMIT = 30
_LIMIT = 50  # for the second process
_REPORT = "!report"  # of the second process: what secrets it saw, and of which files it has records
# In the group, half a surrogate pair: UTF-8 cannot write it. Whole pairs and backslashes are passed over.
_HALVES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(\\ud[89a-f][0-9a-f]{2})")
_LOST = '{"state":"failed","ms":0,"error":"the process that read it was lost"}'


def collect(arguments: dict[str, Any]) -> bytes:
    """The snapshot of this host, as JSON, without what its inventory says of it.

    Args:
        arguments: ``socket``, the engine's API socket where it is not to be found out; ``limit``, seconds
            after which this process ends, whatever it hangs in, and within bounds of memory.
    """
    if arguments.get("limit"):
        limits.hold(int(arguments["limit"]))
    begun, now = time.monotonic(), time.time()
    running, known_units = Once(processes.scan), Once(units.read)
    found = Once(lambda: engine.find(running, known_units, arguments.get("socket")), _FIND_LIMIT)
    start_new_thread(found.get_or, (None,))
    # What follows is compiled while systemd and the engine are thinking.
    from ..host.redact import Redactor
    from .containers import Containers

    redactor = Redactor()
    found.get_or(None)
    helper = Helper(lambda: _rest(found, running, known_units, redactor), _LIMIT)
    containers = Containers(found, Once(mounts.read), redactor)
    entries = {"docker.containers": containers.entry(), **dict.fromkeys(REST, _LOST)}
    more_files = containers.mounted_files()
    entries.update(helper.result())
    others = loads(entries.pop(_REPORT, '{"secrets":[],"secrets_cut":true,"files":[]}'))
    known = set(others["files"])
    more_files = {path: record for path, record in more_files.items() if path not in known}
    entries["files"] = _joined(entries["files"], encode(more_files))
    entries["listening"] = _joined(entries["listening"], encode(containers.listening))
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
    return _whole(f'{encode(head)[:-1]},"sources":{{{sources}}}}}').encode("ascii")


def _rest(found: Once, running: Once, known_units: Once, redactor: Redactor) -> dict[str, str]:
    """What the second process does: entries of the other sources, and what secrets it saw."""
    from .plan import Rest

    rest = Rest(found, running, known_units, redactor)
    entries = read(rest.plan())
    return {**entries, _REPORT: encode({**redactor.report(), "files": rest.paths()})}


def _joined(entry: str, more: str) -> str:
    """The entry of a source with more elements of its list or object; one without data stays as it is.

    Nothing is decoded: ``…,"data":[1]}`` and ``[2]`` give ``…,"data":[1,2]}``.
    """
    if not entry.startswith('{"state":"ok"') or len(more) == len("[]"):
        return entry
    comma = "" if entry[-3] in "[{" else ","
    return f"{entry[:-2]}{comma}{more[1:]}}}"


def _whole(text: str) -> str:
    """JSON without halves of surrogate pairs, which JSON can write and UTF-8 can not."""
    if "\\ud" not in text:
        return text
    return _HALVES.sub(lambda match: "?" if match.group(1) else match.group(), text)


def main() -> None:
    """Print the snapshot; ``--socket=PATH`` names the engine's API socket."""
    options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
    if sys.stdout is None:
        sys.exit("cannot print the snapshot: there is no standard output")
    known = {"host": os.uname().nodename, "policy": {}}  # of an inventory there is none
    snapshot = beside(collect({"limit": LIMIT, **options}), known) + b"\n"
    code = 0
    try:
        sys.stdout.buffer.write(snapshot)
        sys.stdout.buffer.flush()
    except OSError as error:
        code = 1
        sys.stderr.write(f"cannot print the snapshot: {error.strerror}\n")
    os._exit(code)  # without waiting for threads that are stuck
