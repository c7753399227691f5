"""Define the interface of sources, which count the events of recorded containers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Source(ABC):
    """Counts the events of wanted containers by phase.

    It ends with this process, and leaves nothing on the host.

    Attributes:
        kind: ``bpf`` or ``bpftrace``.
        title: the same for people.
        instead: why it is not a better kind, in one line; empty for the best.
        capabilities_by: how capability checks are counted: ``tracepoint``, ``fexit``; empty if they are not.
        problems: what keeps it from counting all that its kind can.
    """

    kind: str
    title: str
    instead = ""
    capabilities_by = ""

    def __init__(self) -> None:
        self.problems: list[str] = []

    @abstractmethod
    def want(self, identity: str, slot: int = 0) -> None:
        """Start to count the events of a container, which may not have started yet.

        Args:
            identity: its id.
            slot: the slot with its settings; each recorded twin has its own.
        """

    @abstractmethod
    def phase(self, name: str, *, unfiltered: bool = False, slot: int = 0) -> None:
        """Count events for this phase from now on; ``unfiltered``: the containers have no seccomp filter."""

    @abstractmethod
    def cgroups(self, slot: int = 0) -> set[int]:
        """Return the numbers of the cgroups of a slot's containers, as in the result of ``read``."""

    @abstractmethod
    def losses(self) -> list[str]:
        """Return the observations that were lost, in words."""

    @abstractmethod
    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Return all counts: ``calls``, ``execs``, ``capsets``, ``sockets``, ``capabilities`` (layout.py)."""

    def reads(self) -> list[dict[str, Any]] | None:
        """Return the files that were opened to read (layout.py); None if not all could be counted."""
        return None

    def uses(self) -> list[dict[str, Any]] | None:
        """Return who opened files to write or execute (layout.py); None if not all could be counted."""
        return None

    @abstractmethod
    def read_one(self, name: str) -> list[dict[str, Any]]:
        """Return the counts of one kind."""
