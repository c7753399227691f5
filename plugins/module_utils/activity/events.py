"""Select the engine's events to report: commands in containers, unusual ends, privileged starts."""

from __future__ import annotations

import posixpath
from typing import Any, Iterator, Mapping, NamedTuple

from ..host.text import SHORT, shown
from .containers import Container
from .records import HIGH, LOW, MEDIUM

_ENDS = {
    "137": ("ended with exit code 137, as by SIGKILL", LOW),
    "139": ("ended with exit code 139, as by a segmentation fault", MEDIUM),
    "159": ("ended with exit code 159, as by a forbidden system call", HIGH),
}
_NAMESPACES = {
    "PidMode": "process",
    "NetworkMode": "network",
    "IpcMode": "IPC",
    "UTSMode": "UTS",
    "UsernsMode": "user",
}
_STRONG = frozenset(
    {"ALL", "BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"}
)
_OPEN = ("apparmor=unconfined", "apparmor:unconfined", "seccomp=unconfined", "seccomp:unconfined")


class EngineEvent(NamedTuple):
    """A remarkable event of a container, as the engine reported it."""

    at: float  # seconds of the epoch
    kind: str
    severity: str
    target: str
    container: Container


def reported_events(event: Mapping[str, Any], container: Container) -> Iterator[EngineEvent]:
    """Yield the reported events that follow from an engine event of type container."""
    nanoseconds = event.get("timeNano")
    at = nanoseconds / 1e9 if isinstance(nanoseconds, int) else 0.0
    action, _separator, rest = str(event.get("Action", "")).partition(":")
    actor = event.get("Actor")
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    attributes = attributes if isinstance(attributes, dict) else {}
    if action == "exec_create":
        yield EngineEvent(at, "command run inside", LOW, _program(rest), container)
    elif action == "oom":
        yield EngineEvent(at, "out of memory", MEDIUM, "", container)
    elif action == "die" and str(attributes.get("exitCode")) in _ENDS:
        kind, severity = _ENDS[str(attributes["exitCode"])]
        yield EngineEvent(at, kind, severity, "", container)
    elif action == "start":
        for risk in container.risks:
            yield EngineEvent(at, f"started {risk}", HIGH, "", container)


def risks(host_config: Mapping[str, Any]) -> list[str]:
    """Return the settings that give a container access to the host, as phrases that follow ``started``."""
    found = ["privileged"] if host_config.get("Privileged") is True else []
    found += [
        f"in the host's {name} namespace"
        for key, name in _NAMESPACES.items()
        if host_config.get(key) == "host"
    ]
    added = host_config.get("CapAdd")
    names = {str(each).upper().replace("CAP_", "", 1) for each in added} if isinstance(added, list) else set()
    found += [f"with {name}" for name in sorted(names & _STRONG)]
    options = host_config.get("SecurityOpt")
    words = {str(each) for each in options} if isinstance(options, list) else set()
    found += [f"with {word.replace(':', '=')}" for word in _OPEN if word in words]
    return found


def _program(command: str) -> str:
    """Return the program of a command line without its arguments, which may hold a password."""
    words = command.split(None, 1)
    return shown(posixpath.basename(words[0]), SHORT) if words else ""
