"""Divide the hosts of a job into slices, and keep the result of each host.

Nothing here starts anything. A slice that is lost is given out again, with its hosts that have not answered,
if the playbook only reads; hosts that it may have changed are reported as lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hardener.fleet.events import Outcome, SliceLost, State, TaskResult

ATTEMPTS = 3  # how often a slice is given out

# The playbooks that may run twice on a host, and the action after which a host needs nothing more from them.
_READING = {"audit": "collect", "scan": "vulnerability_scan", "verify_images": "verify_images"}

_GONE = "the inventory no longer has this host"
_CHANGING = "the host may be changed: it rolls an unconfirmed change back by itself; audit it"


@dataclass(frozen=True, slots=True)
class Slice:
    """Some hosts, in inventory order, and the places that have lost them."""

    number: int
    hosts: tuple[str, ...]
    lost_at: tuple[str, ...] = ()


class SliceQueue:
    """The pending slices of a job, and exactly one result for each host, even if several results arrive.

    Args:
        playbook: its name.
        hosts: all hosts, in inventory order.
        size: the number of hosts of a slice.
    """

    def __init__(self, playbook: str, hosts: Sequence[str], size: int) -> None:
        self._last = _READING.get(playbook, "")
        self._hosts = tuple(hosts)
        self._settled: dict[str, Outcome] = {}
        self._reached: dict[str, Outcome] = {}  # ended within a slice that has not ended
        self._told: set[str] = set()  # why they failed was handed on
        starts = range(0, len(hosts), size)
        self._waiting = deque(
            Slice(number, self._hosts[start : start + size]) for number, start in enumerate(starts, start=1)
        )

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the known outcomes, in inventory order."""
        return {host: self._settled[host] for host in self._hosts if host in self._settled}

    @property
    def waiting(self) -> bool:
        """Return whether a slice waits to be started."""
        return bool(self._waiting)

    def take(self, place: str, places: Sequence[str]) -> Slice | None:
        """Return the next slice for a place; a slice that it lost only if all other places lost it too."""
        for each in self._waiting:
            if place not in each.lost_at or set(places) <= set(each.lost_at):
                self._waiting.remove(each)
                return each
        return None

    def result(self, piece: Slice, result: TaskResult) -> bool:
        """Record a result; return False if its host is not in the slice, or is already settled."""
        host = result.host
        if host not in piece.hosts or host in self._settled:
            return False
        if result.state in (State.FAILED, State.UNREACHABLE):
            self._told.add(host)
            self._reached[host] = Outcome(result.state, result.reason)
        elif self._last and result.action == self._last and result.state is not State.SKIPPED:
            self._reached[host] = Outcome(result.state)
        return True

    def ended(self, piece: Slice, outcomes: Mapping[str, Outcome]) -> Iterator[TaskResult]:
        """Record the end of a slice; yield a result for each failed host that sent no result."""
        for host in piece.hosts:
            yield from self._settle(host, outcomes.get(host, Outcome(State.FAILED, _GONE)))

    def lost(self, piece: Slice, place: str, reason: str) -> Iterator[SliceLost | TaskResult]:
        """Record the loss of a slice: queue its hosts again if allowed, else yield a result for each."""
        left: list[str] = []
        for host in piece.hosts:
            if reached := self._reached.get(host):
                yield from self._settle(host, reached)
            else:
                left.append(host)
        lost_at = (*piece.lost_at, place)
        if not left:
            return
        if self._last and len(lost_at) < ATTEMPTS:
            self._waiting.appendleft(Slice(piece.number, tuple(left), lost_at))
            yield SliceLost(piece.number, tuple(left), reason)
            return
        said = f"lost with its slice: {reason}" + ("" if self._last else f" ({_CHANGING})")
        for host in left:
            yield from self._settle(host, Outcome(State.FAILED, said))

    def abandon(self, reason: str) -> Iterator[TaskResult]:
        """Report the hosts of all waiting slices as not done."""
        while self._waiting:
            for host in self._waiting.popleft().hosts:
                yield from self._settle(host, Outcome(State.FAILED, reason))

    def _settle(self, host: str, outcome: Outcome) -> Iterator[TaskResult]:
        if host in self._settled:
            return
        self._settled[host] = outcome
        if not outcome.ended_well and host not in self._told:
            self._told.add(host)
            yield TaskResult(host, "", outcome.state, outcome.reason)
