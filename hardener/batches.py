"""Divide the hosts of a run into batches: canaries first, then a number or percentage of hosts each. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hardener.errors import HardenerError
from hardener.text import line

_SHARE = re.compile(r"([0-9]{1,9})(%?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Share:
    """A number of hosts, or a percentage of them."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str, *, least: int) -> Share:
        """Parse a share such as ``3`` or ``10%``.

        Args:
            text: as the user gave it.
            least: the smallest possible number.

        Raises:
            HardenerError: it is not a share.
        """
        found = _SHARE.fullmatch(text.strip())
        if not found or int(found[1]) < least or (found[2] and int(found[1]) > 100):
            raise HardenerError(
                f"{line(repr(text), 100)} is not a number of hosts",
                hint=f"give a number from {least}, or a percentage from {least}% to 100%",
            )
        return cls(int(found[1]), bool(found[2]))

    def of(self, hosts: int) -> int:
        """Return the share of ``hosts`` as a number of hosts; a percentage is rounded down."""
        return hosts * self.number // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The division of a run by ``--canary``, ``--batch`` and ``--max-fail``; without them, one batch.

    Args:
        canary: a group of the inventory, or a number of hosts; empty for no canaries.
        batch: the size of each later batch, as a share of the hosts to change; None for one batch.
        max_fail: the number of hosts of the run that may fail; when more fail, no further batch begins; None
            for 0.

    Raises:
        HardenerError: a limit is given without batches, or the number of canaries is 0.
    """

    canary: str = ""
    batch: Share | None = None
    max_fail: Share | None = None

    def __post_init__(self) -> None:
        """Refuse invalid combinations."""
        if self.max_fail is not None and not self.is_divided:
            raise HardenerError(
                "--max-fail needs batches: without them all hosts begin at once",
                hint="add --canary or --batch",
            )
        if self.canary.isdecimal() and not int(self.canary):
            raise HardenerError("--canary 0 names no host", hint="omit it, or give at least 1")

    @property
    def is_divided(self) -> bool:
        """Return whether the run is divided into batches."""
        return bool(self.canary or self.batch)

    def most_failures(self, hosts: int) -> int:
        """Return how many hosts of the run may fail; without batches there is no limit."""
        if not self.is_divided:
            return hosts
        return self.max_fail.of(hosts) if self.max_fail else 0

    def divide(self, hosts: Sequence[str], members: Callable[[str], Collection[str]]) -> list[Batch]:
        """Divide hosts into batches that keep their order, each host in exactly one.

        Args:
            hosts: the hosts to change, in inventory order.
            members: returns the hosts of a group.
        """
        canaries: list[str] = []
        if self.canary.isdecimal():
            canaries = list(hosts[: int(self.canary)])
        elif self.canary:
            group = members(self.canary)
            canaries = [host for host in hosts if host in group]
        chosen = set(canaries)
        rest = [host for host in hosts if host not in chosen]
        size = max(1, self.batch.of(len(hosts)) if self.batch else len(rest))
        batches = [Batch(tuple(canaries), is_canary=True)] if canaries else []
        return batches + [Batch(tuple(rest[at : at + size])) for at in range(0, len(rest), size)]


AT_ONCE = Batches()


@dataclass(frozen=True, slots=True)
class Batch:
    """Hosts that are changed at the same time."""

    hosts: tuple[str, ...]
    is_canary: bool = False
