"""Store data about containers, and find the container that has an AppArmor profile or SELinux label."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

from ..host.cgroups import SLACK

_MAX_KNOWN = 4096
# The engine's default profile also confines build steps, which the engine does not report.
_DEFAULT = "docker-default"


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
