"""Compute the data of charts: positions and values, without presentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hardener.comparison.previous_runs import Point
from hardener.model import Status

_COLUMNS = 240  # more points than this are not visible on a screen
_POINTS = 120


@dataclass(frozen=True, slots=True)
class Columns:
    """Failing controls of each host by severity, worst host first; many hosts can share a column.

    Attributes:
        columns: the number of failing controls by column and severity; the mean if a column has several
            hosts.
        highest: the sum of the highest column, at least 1.
    """

    columns: tuple[tuple[float, ...], ...]
    highest: float

    @property
    def dense(self) -> bool:
        """Return whether columns are about a pixel wide, without room for gaps."""
        return len(self.columns) > _COLUMNS / 2


@dataclass(frozen=True, slots=True)
class Mark:
    """A run in a trend: ``x`` is its time from 0 to 1, ``value`` the failing and waived controls per host."""

    x: float
    value: float
    ended: datetime


@dataclass(frozen=True, slots=True)
class Trend:
    """Runs over time, oldest first; ``highest`` is the upper end of the axis, which begins at 0."""

    marks: tuple[Mark, ...]
    highest: int


def columns(tolls: Sequence[tuple[int, ...]], severities: int) -> Columns:
    """Return the columns of the failing controls of hosts.

    Args:
        tolls: for each host, the number of failing controls by severity.
        severities: the number of severities.
    """
    ordered = sorted(tolls, key=lambda toll: (sum(toll), toll), reverse=True)
    size = max(1, -(-len(ordered) // _COLUMNS))
    means = tuple(
        tuple(sum(numbers) / len(group) for numbers in zip(*group, strict=True))
        for group in (ordered[start : start + size] for start in range(0, len(ordered), size))
    ) or ((0.0,) * severities,)
    return Columns(means, max(1.0, *(sum(column) for column in means)))


def trend(points: Sequence[Point]) -> Trend | None:
    """Return the average number of failing and waived controls of a host, run by run; None below two runs.

    A run that reached no host is omitted; so are the oldest of very many runs.
    """
    known = sorted((each for each in points if each.hosts > each.unreachable), key=lambda each: each.ended)
    known = known[-_POINTS:]
    if len(known) < 2:
        return None
    begun = known[0].ended
    span = (known[-1].ended - begun).total_seconds() or 1.0
    marks = tuple(
        Mark(
            x=(each.ended - begun).total_seconds() / span,
            value=(each.counts.get(Status.FAIL, 0) + each.counts.get(Status.WAIVED, 0))
            / (each.hosts - each.unreachable),
            ended=each.ended,
        )
        for each in known
    )
    return Trend(marks, _rounded(max(mark.value for mark in marks)))


def _rounded(value: float) -> int:
    """Round the end of an axis up to the next of 1, 2, 5, 10, 15, 20, 25, 30, 40, 50 and so on."""
    for end in (1, 2, 5, 10, 15, 20, 25, 30):
        if value <= end:
            return end
    return int(-(-value // 10) * 10)
