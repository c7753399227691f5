"""Define the interface of sources, which count the events of recorded containers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Mapping


class Source(ABC):
    """Counts the events of wanted containers by phase.

    It ends with this process, and leaves nothing on the host.

    Attributes:
        kind: ``bpf``, ``bpftrace`` or ``audit``.
        title: the same for people.
        instead: why it is not a better kind, in one line; empty for the best.
        capabilities_by: how capability checks are counted: ``tracepoint``, ``fexit``; empty if they are not.
        measures_runtime: whether it counts the events of idle containers, which measure the runtime.
        needs_twins: whether it can only record containers that are created for it.
        problems: what keeps it from counting all that its kind can.
    """

    kind: str
    title: str
    instead = ""
    capabilities_by = ""
    measures_runtime = True
    needs_twins = False

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

    def prepared(self, body: dict[str, Any], granted: Mapping[str, Any] | None) -> dict[str, Any]:  # noqa: ARG002
        """Return the request that creates a twin, with the settings that this source needs.

        Args:
            body: the request.
            granted: what the engine grants by default (``runtime.granted``); None if that is not known.
        """
        return body
