"""Find the earlier runs over the same hosts and controls, for reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hardener.comparison.previous_runs import Point, PreviousRuns
from hardener.history.runs import RunRecord, StoredRun
from hardener.history.store import History
from hardener.model import Assessment
from hardener.text import scalar

_POINTS = 120  # points of a trend; a chart cannot show more


def previous_runs(history: History, run: RunRecord, *, before: int | None = None) -> PreviousRuns | None:
    """Return the earlier runs over the same hosts and controls; None if there are none.

    Args:
        history: the history.
        run: the reported run.
        before: its number, if it is already in the history; without it, every run there is an earlier one.

    Raises:
        HardenerError: the history cannot be read.
    """
    alike = (
        each
        for each in history.runs()
        if (before is None or each.number < before) and each.record.kind == run.kind
    )
    found = list(islice(alike, _POINTS))
    return preceding(found[::-1]) if found else None


def preceding(runs: Sequence[StoredRun]) -> PreviousRuns:
    """Convert stored runs to the form that reports use for comparisons.

    Args:
        runs: the earlier runs of the same kind, oldest first; at least one.
    """
    return PreviousRuns(
        points=tuple(map(point, runs)), hosts=frozenset(runs[-1].names()), before=_Before(runs[-1])
    )


class _Before:
    """Reads the assessments of a run host by host, in one pass if they are requested in that order."""

    def __init__(self, run: StoredRun) -> None:
        self._run = run
        self._places = {name: place for place, name in enumerate(run.names())}
        self._next = 0
        self._rest: Iterator[Assessment] = run.assessments()

    def __call__(self, host: str) -> Assessment | None:
        place = self._places.get(scalar(host))
        if place is None:
            return None
        if place < self._next:
            return self._run.assessment(host)
        skipped, self._next = place - self._next, place + 1
        return next(islice(self._rest, skipped, None), None)


def point(run: StoredRun) -> Point:
    """Return a run as a point of a trend."""
    return Point(run.id, run.info.ended, run.hosts, run.unreachable, run.counts())
