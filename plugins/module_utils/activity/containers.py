"""Which container a process belongs to, and what is known of that container."""

from __future__ import annotations

import os
import re
import time
from threading import Lock
from typing import Callable, NamedTuple

_MAX_KNOWN = 4096
_CGROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/| \(deleted\)$|$)", re.MULTILINE)
_EXITING = 0x4  # PF_EXITING among the flags of /proc/PID/stat
# The engine's own profile: it confines the steps of builds as well, and of these the engine tells nothing.
_DEFAULT = "docker-default"
_SLACK = 0.1  # seconds: a process's start is known to a hundredth, and clocks are set now and then


class Container(NamedTuple):
    """A container as the engine tells of it; texts are those of whoever made it."""

    identity: str
    name: str
    image: str
    profile: str = ""  # AppArmor's
    label: str = ""  # SELinux's
    risks: tuple[str, ...] = ()
    silent: str = ""  # what about its confinement leaves no record
    ended: float = 0.0  # when, by the clock on the wall; 0 while it runs
    inspected: bool = True  # False where it was gone before the engine could be asked how it is confined


class Directory:
    """The containers of this host: those that run, and the last of those that did.

    The thread that listens to the engine fills it, the one that listens to the kernel asks.
    """

    def __init__(self) -> None:
        self._known: dict[str, Container] = {}
        self._lock = Lock()

    def put(self, container: Container) -> None:
        """Know a container, or know it better. The longest known go when there are too many."""
        with self._lock:
            self._known.pop(container.identity, None)
            self._known[container.identity] = container
            while len(self._known) > _MAX_KNOWN:
                gone = next((each for each in self._known.values() if each.ended), container)
                del self._known[gone.identity]

    def end(self, identity: str, now: float) -> None:
        """A container does not run any more; what it did last may still have to be told."""
        with self._lock:
            container = self._known.get(identity)
            if container is not None:
                self._known[identity] = container._replace(ended=now)

    def get(self, identity: str) -> Container:
        """A container by its id; of one that nobody knows, the id is all there is."""
        with self._lock:
            return self._known.get(identity) or Container(identity, "", "")

    def knows(self, identity: str) -> bool:
        """Whether the engine has told of a container."""
        with self._lock:
            return identity in self._known

    def running(self) -> list[Container]:
        """Those that run."""
        with self._lock:
            return [each for each in self._known.values() if not each.ended]

    def by_confinement(self, confinement: str, at: float) -> str:
        """The id of the one container with that profile or label at a time; empty where there may be more."""
        wanted = confinement.partition("//")[0]
        if wanted in ("", "unconfined", _DEFAULT):
            return ""
        with self._lock:
            known = [each for each in self._known.values() if not each.ended or each.ended >= at - _SLACK]
        if not all(each.inspected for each in known):
            return ""
        found = [
            each.identity
            for each in known
            if wanted == each.profile or (each.label and confinement == each.label)
        ]
        return found[0] if len(found) == 1 else ""

    def confines(self, confinement: str) -> bool:
        """Whether a profile or label is one of containers, of those that build images too."""
        wanted = confinement.partition("//")[0]
        if wanted in ("", "unconfined"):
            return False
        with self._lock:
            known = {text for each in self._known.values() for text in (each.profile, each.label)}
        return wanted == _DEFAULT or wanted in known or confinement in known


class Process(NamedTuple):
    """What a process says of where it runs: its container, or that it is still there and in none."""

    container: str = ""
    elsewhere: bool = False


def ask(pid: int, at: float, read: Callable[[str], str] | None = None) -> Process:
    """Ask the process that did something, at a time by the clock on the wall.

    It may be gone, and its number may be another's by now: then it says nothing.
    """
    read = read or _read
    if pid <= 0:
        return Process()
    try:
        cgroup = read(f"/proc/{pid}/cgroup")
        # Read afterwards: whoever has the number now had it when its cgroup was read.
        stat = read(f"/proc/{pid}/stat")
    except OSError:
        return Process()
    try:
        fields = stat.rpartition(")")[2].split()
        flags, ticks = int(fields[6]), int(fields[19])
    except (IndexError, ValueError):
        return Process()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    if booted + ticks / os.sysconf("SC_CLK_TCK") > at + _SLACK:
        return Process()
    found = _CGROUP.search(cgroup)
    if found:
        return Process(found[1])
    # One that ends has left its groups of cgroup v1 already: it is in the root there, whosever it was.
    unified = cgroup.startswith("0::")
    return Process(elsewhere=unified or not flags & _EXITING)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode("utf-8", "backslashreplace")
    finally:
        os.close(descriptor)
