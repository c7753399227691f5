"""What earlier runs found, for reports that say what moved since and where it is going.

Whoever keeps runs gives one :class:`Past`; a report without one is complete as well. ``Since`` holds the run
that is reported against the previous one, host by host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from hardener.model import Assessment, Finding, Status
from hardener.reports.compare import Change, Comparison, Outcome
from hardener.text import line

# What can become of a finding, in the order it is told.
MOVES = {
    Outcome.BROKEN: "newly failing",
    Outcome.UNDECIDED: "no longer evaluated",
    Outcome.FIXED: "fixed",
    Outcome.CHANGED: "changed otherwise",
}


@dataclass(frozen=True, slots=True)
class Point:
    """An earlier run, counted: a point of the trend."""

    run_id: str
    ended: datetime  # with its time zone
    hosts: int
    unreachable: int
    counts: Mapping[Status, int]


@dataclass(frozen=True, slots=True)
class Past:
    """What there was before the run that is reported.

    Attributes:
        points: earlier runs of the same benchmark, oldest first; the last one is what is compared with.
        hosts: the names of that run's hosts.
        before: what that run found on a host; called once a host, as the hosts come. None for one of its
            hosts says that it cannot be read any more.
    """

    points: tuple[Point, ...]
    hosts: frozenset[str]
    before: Callable[[str], Assessment | None]


@dataclass(frozen=True, slots=True)
class Move:
    """A control of one host that has another status than before."""

    slug: str
    outcome: Outcome
    before: Finding


class Since:
    """What moved since the previous run, counted while the hosts pass.

    Args:
        past: what there was.
    """

    def __init__(self, past: Past) -> None:
        self.previous = past.points[-1]
        self.compared = 0  # hosts
        self.new: list[str] = []  # hosts that the previous run did not have
        self._past = past
        self._gone = set(past.hosts)
        self._comparison = Comparison()

    def add(self, assessment: Assessment) -> list[Move]:
        """Hold one host against what it was, by the controls that both runs judged.

        A host that one of them could not reach did not move: it was not seen.
        """
        self._gone.discard(assessment.host)
        before = self._past.before(assessment.host)
        if before is None:
            if assessment.host in self._past.hosts:
                self.not_compared.append((line(assessment.host), "its last result cannot be read"))
            else:
                self.new.append(line(assessment.host))
            return []
        before, after = _common(before, assessment)
        self._comparison.add(before, after)
        if before.unreachable or after.unreachable:
            return []
        self.compared += 1
        now = {finding.control.slug: finding.status for finding in after.findings}
        moved = ((old, Outcome.of(old.status, now[old.control.slug])) for old in before.findings)
        return [Move(old.control.slug, outcome, old) for old, outcome in moved if outcome in MOVES]

    @property
    def counts(self) -> Counter[Outcome]:
        """Number of findings by what became of them; unchanged ones too."""
        return self._comparison.outcomes

    @property
    def not_compared(self) -> list[tuple[str, str]]:
        """Hosts that were not held against what they were, and why: above all those that were not reached."""
        return self._comparison.not_compared

    @property
    def gone(self) -> list[str]:
        """Hosts of the previous run that are not part of this one."""
        return sorted(line(host) for host in self._gone)

    def moves(self) -> Iterator[tuple[Outcome, int]]:
        """Number of findings by what became of them; that nothing is newly failing or fixed is told too."""
        for outcome in MOVES if self.compared else ():
            if self.counts[outcome] or outcome in (Outcome.BROKEN, Outcome.FIXED):
                yield outcome, self.counts[outcome]

    def changes(self) -> Iterator[Change]:
        """The controls that moved: what is worse first, and of that the most severe."""
        for outcome in MOVES:
            yield from self._comparison.changes(outcome)


def _common(before: Assessment, after: Assessment) -> tuple[Assessment, Assessment]:
    """Both with the controls that both have: a newer catalogue knows more."""
    slugs = {finding.control.slug for finding in before.findings}
    slugs &= {finding.control.slug for finding in after.findings}
    return _only(before, slugs), _only(after, slugs)


def _only(assessment: Assessment, slugs: set[str]) -> Assessment:
    if len(slugs) == len(assessment.findings):
        return assessment
    kept = tuple(finding for finding in assessment.findings if finding.control.slug in slugs)
    return replace(assessment, findings=kept)
