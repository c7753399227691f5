"""Store data about containers, and find the container that has an AppArmor profile or SELinux label."""

from __future__ import annotations

import os
import re
import time
from threading import Lock
from typing import Callable, NamedTuple

_MAX_KNOWN = 4096
# The engine's default profile also confines build steps, which the engine does not report.
_DEFAULT = "docker-default"
_CGROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/| \(deleted\)$|$)", re.MULTILINE)
_EXITING = 0x4  # PF_EXITING among the flags of /proc/PID/stat
SLACK = 0.1  # seconds: process start times have a resolution of 0.01 s, and clocks are adjusted now and then


class Container(NamedTuple):
    """A container as the engine reports it; all texts are untrusted."""

    identity: str
    name: str
    image: str
    profile: str = ""  # AppArmor's
    label: str = ""  # SELinux's
    risks: tuple[str, ...] = ()
    silent: str = ""  # its declared confinement if that leaves no record: unconfined, docker-default
    ended: float = 0.0  # wall-clock time; 0 while it runs
    inspected: bool = True  # False if it was gone before its confinement could be inspected
    pid: int = 0  # of its first process


class Directory:
    """The containers of this host: the running ones, and the ended ones up to a limit.

    The thread that reads the engine's events writes it, the thread that reads the kernel's records queries
    it.
    """

    def __init__(self) -> None:
        self._known: dict[str, Container] = {}
        self._lock = Lock()

    def put(self, container: Container) -> None:
        """Add or update a container; above the limit, remove an ended container, otherwise this one."""
        with self._lock:
            self._known.pop(container.identity, None)
            self._known[container.identity] = container
            while len(self._known) > _MAX_KNOWN:
                gone = next((each for each in self._known.values() if each.ended), container)
                del self._known[gone.identity]

    def end(self, identity: str, now: float) -> None:
        """Mark a container as ended; its last denials may still arrive."""
        with self._lock:
            container = self._known.get(identity)
            if container is not None:
                self._known[identity] = container._replace(ended=now)

    def get(self, identity: str) -> Container:
        """Return a container by its id; an unknown container has only its id."""
        with self._lock:
            return self._known.get(identity) or Container(identity, "", "")

    def knows(self, identity: str) -> bool:
        """Return whether the engine has reported a container."""
        with self._lock:
            return identity in self._known

    def running(self) -> list[Container]:
        """Return the running containers."""
        with self._lock:
            return [each for each in self._known.values() if not each.ended]

    def by_confinement(self, confinement: str, at: float) -> str:
        """Return the id of the only container with a profile or label at some time; empty if not unique."""
        wanted = confinement.partition("//")[0]
        if wanted in ("", "unconfined", _DEFAULT):
            return ""
        with self._lock:
            known = [each for each in self._known.values() if not each.ended or each.ended >= at - SLACK]
        if not all(each.inspected for each in known):
            return ""
        found = [
            each.identity
            for each in known
            if wanted == each.profile or (each.label and confinement == each.label)
        ]
        return found[0] if len(found) == 1 else ""

    def confines(self, confinement: str) -> bool:
        """Return whether a container or a build step has this AppArmor profile or SELinux label."""
        wanted = confinement.partition("//")[0]
        if wanted in ("", "unconfined"):
            return False
        with self._lock:
            known = {text for each in self._known.values() for text in (each.profile, each.label)}
        return wanted == _DEFAULT or wanted in known or confinement in known


class Process(NamedTuple):
    """The location of a process: in a container, on the host, or unknown because the process has ended."""

    container: str = ""
    elsewhere: bool = False


def look_up(pid: int, at: float, read: Callable[[str], str] | None = None) -> Process:
    """Return the container of the process that acted at a wall-clock time.

    The process may be gone and its number reused: then the result is unknown.
    """
    read = read or _read
    if pid <= 0:
        return Process()
    try:
        cgroup = read(f"/proc/{pid}/cgroup")
        # Read the start time after the cgroup: if it is old enough, the cgroup belongs to the same process.
        stat = read(f"/proc/{pid}/stat")
    except OSError:
        return Process()
    try:
        fields = stat.rpartition(")")[2].split()
        flags, ticks = int(fields[6]), int(fields[19])
    except (IndexError, ValueError):
        return Process()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    if booted + ticks / os.sysconf("SC_CLK_TCK") > at + SLACK:
        return Process()
    found = _CGROUP.search(cgroup)
    if found:
        return Process(found[1])
    # An ending process has already left its cgroup v1 groups and is listed in the root group.
    unified = cgroup.startswith("0::")
    return Process(elsewhere=unified or not flags & _EXITING)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode("utf-8", "backslashreplace")
    finally:
        os.close(descriptor)
