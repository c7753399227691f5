"""Compare the reported run with the previous one, host by host, for reports that show changes.

The history creates :class:`PreviousRuns`; reports without it only lack the comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from hardener.comparison.finding import CHANGES, ChangeKind
from hardener.comparison.runs import Comparison, ControlChange
from hardener.model import Assessment, Finding, Status
from hardener.text import line, scalar

# The names of the kinds of change in reports, most urgent first.
LABELS: Mapping[ChangeKind, str] = {
    ChangeKind.BROKEN: "newly failing",
    ChangeKind.APPLIES: "applying now and failing",
    ChangeKind.WORSE: "failing for more objects",
    ChangeKind.QUESTION: "more for a person to decide",
    ChangeKind.UNDECIDED: "no longer evaluated",
    ChangeKind.WAIVED: "waived",
    ChangeKind.DECIDED: "decided otherwise",
    ChangeKind.CHANGED: "changed otherwise",
    ChangeKind.LESS: "failing for fewer objects",
    ChangeKind.FIXED: "fixed",
}
_ALWAYS_COUNTED = (ChangeKind.BROKEN, ChangeKind.FIXED)


@dataclass(frozen=True, slots=True)
class Point:
    """An earlier run as a point of the trend."""

    run_id: str
    ended: datetime  # with its time zone
    hosts: int
    unreachable: int
    counts: Mapping[Status, int]


@dataclass(frozen=True, slots=True)
class PreviousRuns:
    """The runs before the reported run.

    Attributes:
        points: earlier runs of the same benchmark, oldest first; the last one is the previous run.
        hosts: the names of the hosts of the previous run.
        before: returns the assessment of a host in the previous run; called once for each host, in order.
            None for one of its hosts means that it is unreadable.
    """

    points: tuple[Point, ...]
    hosts: frozenset[str]
    before: Callable[[str], Assessment | None]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A control of one host that changed since the previous run, and its previous finding."""

    slug: str
    kind: ChangeKind
    before: Finding


class Since:
    """Count the changes since the previous run, host by host.

    Args:
        runs: the earlier runs.
    """

    def __init__(self, runs: PreviousRuns) -> None:
        self.previous = runs.points[-1]
        self.compared = 0  # hosts
        self.new: list[str] = []  # hosts that the previous run did not have
        self._runs = runs
        self._gone = set(runs.hosts)
        self._comparison = Comparison()

    def add(self, assessment: Assessment) -> list[StatusChange]:
        """Compare one host with the previous run, by the controls that both runs judged.

        A host that one of them could not reach has no changes: its controls were not evaluated.
        """
        self._gone.discard(scalar(assessment.host))  # the history has it so
        before = self._runs.before(assessment.host)
        if before is None:
            if scalar(assessment.host) in self._runs.hosts:
                self.not_compared.append((line(assessment.host), "its last result cannot be read"))
            else:
                self.new.append(line(assessment.host))
            return []
        before, after = _common_controls(before, assessment)
        changed = self._comparison.add(before, after)
        if before.unreachable or after.unreachable:
            return []
        self.compared += 1
        return [StatusChange(old.control.slug, kind, old) for old, kind in changed]

    @property
    def counts(self) -> Counter[ChangeKind]:
        """Return the number of findings by kind of change, unchanged ones included."""
        return self._comparison.kinds

    @property
    def not_compared(self) -> list[tuple[str, str]]:
        """Return the hosts that were not compared, such as unreachable ones, with reasons."""
        return self._comparison.not_compared

    @property
    def gone(self) -> list[str]:
        """Return the hosts of the previous run that this run lacks."""
        return sorted(line(host) for host in self._gone)

    def totals(self) -> Iterator[tuple[ChangeKind, int]]:
        """Return the number of changed findings by kind; newly failing and fixed ones even if zero."""
        for kind in CHANGES if self.compared else ():
            if self.counts[kind] or kind in _ALWAYS_COUNTED:
                yield kind, self.counts[kind]

    def changes(self) -> Iterator[ControlChange]:
        """Return the controls that changed: most urgent first, then most severe."""
        for kind in CHANGES:
            yield from self._comparison.changes(kind)


def _common_controls(before: Assessment, after: Assessment) -> tuple[Assessment, Assessment]:
    """Reduce both assessments to their common controls, since a newer catalogue has more."""
    slugs = {finding.control.slug for finding in before.findings}
    slugs &= {finding.control.slug for finding in after.findings}
    return _only(before, slugs), _only(after, slugs)


def _only(assessment: Assessment, slugs: set[str]) -> Assessment:
    if len(slugs) == len(assessment.findings):
        return assessment
    kept = tuple(finding for finding in assessment.findings if finding.control.slug in slugs)
    return replace(assessment, findings=kept)
