"""Build the answer of a recording with numbers of the kernel, which the controller maps to names."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Iterable, Mapping, NamedTuple

from ..docker import runtimes, seccomp
from ..host.read import read_or
from ..host.redact import Redactor
from ..host.text import shown
from . import remap, runtime

_MAX_WORDS = 1000
_HONOURS_PROFILE = (27, 0)  # the first engine that applies the profile of a privileged container
_GONE = " (deleted)"  # the kernel's mark of a file that has no name


def unfiltered(original: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Return whether the engine starts a container without a seccomp filter."""
    profile = seccomp.value(original["HostConfig"], "seccomp")
    if original["HostConfig"].get("Privileged"):
        return profile in ("", "unconfined") or _version(info) < _HONOURS_PROFILE
    if profile:
        return profile == "unconfined"
    daemon = next((each for each in info.get("SecurityOptions") or () if "name=seccomp" in each), "")
    return "name=seccomp" not in daemon or "profile=unconfined" in daemon


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d{1,6}", str(info.get("ServerVersion", "")))[:2])


class Seen(NamedTuple):
    """The collected data of a session, and the result of each phase."""

    began: int
    network: str
    companions: list[str]  # services whose twins ran as well
    missing: list[str]
    complete: bool
    capabilities_by: str
    phases: list[dict[str, Any]]
    found: Mapping[str, list[dict[str, Any]]]  # counts of the recorder
    cgroups: set[int]  # cgroups of the twin
    base: runtime.Base | None  # cgroups of idle containers, by no-new-privileges
    starts: int
    programs: Mapping[str, dict[str, Any]]
    identities: list[dict[str, Any]]
    ports: list[dict[str, Any]]
    listens: list[dict[str, Any]]
    files: Mapping[str, list[str]]
    reads: list[dict[str, Any]] | None  # files that were opened to read; None if unknown
    uses: list[dict[str, Any]] | None  # files that were opened to write or execute; None if unknown
    owners: Mapping[str, Mapping[str, int]]
    folders: Mapping[str, Mapping[str, int]]
    shell: bool | None  # whether the container has one; None if unknown
    granted: Mapping[str, Any]
    peak: Mapping[str, int | None]


def answer(
    seen: Seen,
    *,
    original: Mapping[str, Any],
    info: Mapping[str, Any],
    versions: Mapping[str, Any],
    runtime_name: str,
) -> dict[str, Any]:
    """Return everything from which the controller builds a recording."""
    mine = {
        name: [each for each in entries if each["cgroup"] in seen.cgroups]
        for name, entries in seen.found.items()
    }
    files = {path: str(each["file"]) for path, each in seen.programs.items()}
    executed: dict[str, str] = {}
    for each in mine["execs"]:
        path = shown(each["path"]) or "?"
        executed.setdefault(files.get(path, path), each["program"])
    changed = {path for paths in seen.files.values() for path in paths}
    return {
        "began": seen.began,
        "ended": int(time.time()),
        "host": host(info, versions, runtime_name),
        "container": container(original),
        "network": seen.network,
        "companions": sorted(shown(name, 255) for name in seen.companions),
        "missing": [_sentence(each) for each in seen.missing][:_MAX_WORDS],
        "complete": seen.complete,
        "capabilities_by": seen.capabilities_by,
        "phases": [{**phase, "reason": shown(phase["reason"], 900)} for phase in seen.phases],
        "calls": [_bare(each) for each in mine["calls"]],
        "base": None if seen.base is None else _base(seen.found["calls"], seen.base, seen.starts),
        "capabilities": [_bare(each) for each in mine["capabilities"]],
        "executed": executed,
        "read": None if seen.reads is None else read(seen.reads),
        "used_by": None if seen.uses is None else used_by(seen.uses, changed, set(executed)),
        "programs": {files[path]: each for path, each in seen.programs.items() if files[path] in executed},
        "capsets": [_bare(each) for each in mine["capsets"]],
        "sockets": [_bare(each) for each in mine["sockets"]],
        "identities": seen.identities,
        "ports": seen.ports,
        "listens": seen.listens,
        "files": seen.files,
        "owners": seen.owners,
        "folders": seen.folders,
        "shell": seen.shell,
        "granted": seen.granted,
        "peak": seen.peak,
        "pids_limit": max(0, int(original["HostConfig"].get("PidsLimit") or 0)) or None,
    }


def host(info: Mapping[str, Any], versions: Mapping[str, Any], runtime_name: str) -> dict[str, Any]:
    """Return kernel, engine and runtime of the container."""
    return {
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "engine": shown(str(versions.get("Version") or ""), 100),
        "runtime": {
            "name": shown(runtime_name, 100),
            "version": shown(runtimes.version(runtime_name, info, versions), 100),
        },
        "lsm": [name for name in read_or("/sys/kernel/security/lsm", "").split(",") if name],
        "userns_remap": remap.is_active(info),
    }


def _sentence(text: str) -> str:
    text = shown(" ".join(text.split()), 900).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _bare(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "cgroup"}


def _base(
    calls: Iterable[Mapping[str, Any]], cgroups: Mapping[bool, set[int]], starts: int
) -> dict[str, Any]:
    sets: dict[bool, set[int]] = {False: set(), True: set()}
    for entry in calls:
        for limited, ids in cgroups.items():
            if entry["cgroup"] in ids and entry["runtime"]:
                sets[limited].update(entry["numbers"])
    return {"calls": sorted(sets[False]), "no_new_privileges": sorted(sets[True]), "starts": starts}


def container(original: Mapping[str, Any]) -> dict[str, Any]:
    """Return data about the container without values of its environment or original arguments."""
    config, host = original["Config"], original["HostConfig"]
    labels = config.get("Labels") or {}
    project, service = (labels.get(f"com.docker.compose.{name}") for name in ("project", "service"))
    secret = _Secret()
    entrypoint = _words(config.get("Entrypoint"))
    return {
        "name": shown(str(original["Name"]).lstrip("/"), 255),
        "image": shown(str(config.get("Image") or ""), 1000),
        "digest": str(original["Image"]),
        "user": shown(str(config.get("User") or ""), 255),
        "entrypoint": [shown(word, 1000) for word in entrypoint[:1]] + secret.words(entrypoint[1:]),
        "command": secret.words(_words(config.get("Cmd"))),
        "mounts": [
            {
                "kind": shown(str(mount["Type"]), 255),
                "target": shown(str(mount["Destination"])),
                "read_only": not mount.get("RW", True),
            }
            for mount in original.get("Mounts") or ()
        ]
        + [
            {
                "kind": "tmpfs",
                "target": shown(str(target)),
                "read_only": "ro" in str(options).split(","),
            }
            for target, options in (host.get("Tmpfs") or {}).items()
        ],
        "network_mode": _mode(host.get("NetworkMode")),
        "pid_mode": _mode(host.get("PidMode")),
        "ipc_mode": _mode(host.get("IpcMode")),
        "userns_mode": _mode(host.get("UsernsMode")),
        "devices": [shown(str(each.get("PathInContainer") or "?")) for each in host.get("Devices") or ()],
        "sysctls": {
            shown(str(name), 255): shown(str(value), 1000)
            for name, value in (host.get("Sysctls") or {}).items()
        },
        "security_options": [_option(option) for option in host.get("SecurityOpt") or ()],
        "environment": [shown(word.partition("=")[0], 255) or "?" for word in config.get("Env") or ()],
        "read_only": bool(host.get("ReadonlyRootfs")),
        "privileged": bool(host.get("Privileged")),
        "capabilities_added": [shown(each, 255) for each in host.get("CapAdd") or ()],
        "capabilities_dropped": [shown(each, 255) for each in host.get("CapDrop") or ()],
        "published": _published(host.get("PortBindings") or {}),
        "compose": {"project": shown(project, 255), "service": shown(service, 255)}
        if project and service
        else None,
    }


class _Secret:
    """Replaces words by digests with this host's key; without a key, removes them."""

    def __init__(self) -> None:
        self._redactor = Redactor()

    def words(self, words: Iterable[str]) -> list[str]:
        """Return the words, each replaced by its digest."""
        if self._redactor.key_source != "host":
            return ["redacted" for _word in words]
        return [self._redactor.digest(word) for word in words]


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value or ()][:_MAX_WORDS]


def _mode(value: Any) -> str:
    """Return the mode of a namespace or network, without the name of another container in it."""
    text = shown(str(value or ""), 255)
    return "container" if text.startswith("container:") else text


def _option(option: str) -> str:
    kind, value = seccomp.split(option)
    if kind == "seccomp" and value not in ("unconfined", "builtin"):
        from hashlib import sha256

        return f"seccomp=sha256:{sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()}"
    return shown(option, 1000)


def _published(bindings: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for entry in bindings:
        number, _separator, protocol = entry.partition("/")
        if number.isdigit():
            found.append({"container_port": int(number), "protocol": protocol or "tcp"})
    return found


def read(reads: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths that were opened to read, those of folders with a slash at the end.

    Args:
        reads: files that were opened to read (``layout.reads``).
    """
    found = set()
    for each in reads:
        path = shown(each["path"])
        if not path.endswith(_GONE):
            found.add(f"{path.rstrip('/')}/" if each["folder"] else path)
    return sorted(found)


def used_by(
    uses: Iterable[Mapping[str, Any]], changed: set[str], executed: set[str]
) -> dict[str, dict[str, list[Any]]]:
    """Return which programs opened a path to write or to execute it, and the numbers of the phases.

    Args:
        uses: files that were opened for that (``layout.uses``).
        changed: paths; one with a slash at the end stands for the files in the folder that are not listed.
        executed: paths.
    """
    found: dict[str, tuple[set[str], set[int]]] = {}
    for each in uses:
        path = shown(each["path"])
        ways = []
        if each["written"]:
            ways.append(
                (path if path in changed else f"{path.rpartition('/')[0]}/", changed, each["written"])
            )
        if each["executed"]:
            ways.append((path, executed, each["executed"]))
        for key, listed, when in ways:
            if key in listed:
                programs, phases = found.setdefault(key, (set(), set()))
                programs.add(each["program"])
                phases.update(when)
    return {
        path: {"programs": sorted(programs), "phases": sorted(phases)}
        for path, (programs, phases) in sorted(found.items())
    }
