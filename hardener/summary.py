"""Count what a run found, host by host, keeping only what a summary shows: no findings of a whole fleet."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hardener.decisions.remarks import Tally, remarks
from hardener.model import Assessment, Control, Finding, Severity, Status, Verdict
from hardener.text import line

_EXAMPLES = 3
_WORST = 5
_REMARKS = 20  # different ones of a control: objects have names of their own on every host

SEVERITIES = tuple(Severity)  # most severe first, as the model lists them


@dataclass(slots=True)
class Cases:
    """The hosts on which one control has one status: how many, and the first few."""

    control: Control
    id: str
    place: int  # in the benchmark's order
    severity: Severity  # of the host on which it is most severe
    hosts: int = 0
    examples: list[tuple[str, Verdict]] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)  # what people decided, and on how many hosts


@dataclass(frozen=True, slots=True, order=True)
class Toll:
    """What fails on one host, by severity; compares by how bad it is."""

    by_severity: tuple[int, ...]
    host: str = field(compare=False)


def compliance(counts: Mapping[Status, int]) -> float | None:
    """Give the share of passing controls among those that a check could or should have decided."""
    decided = sum(counts.get(status, 0) for status in (Status.PASS, Status.FAIL, Status.ERROR))
    return counts.get(Status.PASS, 0) / decided if decided else None


class Summary:
    """The totals of a run."""

    def __init__(self) -> None:
        self.benchmark = ""
        self.hosts = 0
        self.first: Assessment | None = None
        self.counts: Counter[Status] = Counter()
        self.sections: dict[str, Counter[Status]] = {}
        self.unreachable: list[tuple[str, str]] = []
        self.last_runs: list[tuple[str, str]] = []  # of hosts whose last change does not stand
        self.decided = Tally()
        self._cases: dict[tuple[Status, str], Cases] = {}
        self._worst: list[tuple[Toll, int]] = []

    def watch(self, assessments: Iterable[Assessment]) -> Iterator[Assessment]:
        """Count assessments while they pass on to the reports."""
        for assessment in assessments:
            self.add(assessment)
            yield assessment

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        self.hosts += 1
        self.first = self.first or assessment
        self.benchmark = self.benchmark or assessment.benchmark
        self.decided.add(assessment)
        for place, finding in enumerate(assessment.findings):
            section = finding.control.section_in(assessment.benchmark)
            self.sections.setdefault(section, Counter())[finding.status] += 1
            self.counts[finding.status] += 1
            kept = finding.status in (Status.FAIL, Status.ERROR, Status.WAIVED) or finding.attested
            if kept and not assessment.unreachable:
                self._keep(finding, place, assessment)
        if last_run := assessment.facts.get("last_run"):
            self.last_runs.append((line(assessment.host), line(last_run, 1000)))
        if assessment.unreachable:
            self.unreachable.append((line(assessment.host), line(assessment.unreachable)))
        else:
            self._rank(assessment)

    def cases(self, status: Status) -> list[Cases]:
        """The controls that have this status on some host, most severe first.

        Of those that pass only what a person has attested is kept, and nothing of the others.
        """
        chosen = [cases for (each, _), cases in self._cases.items() if each is status]
        return sorted(chosen, key=lambda cases: (SEVERITIES.index(cases.severity), cases.place))

    def worst(self) -> list[Toll]:
        """The hosts on which most fails, worst first."""
        return [toll for toll, _ in sorted(self._worst, reverse=True)]

    def _keep(self, finding: Finding, place: int, assessment: Assessment) -> None:
        control = finding.control
        cases = self._cases.setdefault(
            (finding.status, control.slug),
            Cases(control, control.id_in(assessment.benchmark), place, finding.severity),
        )
        cases.hosts += 1
        cases.severity = min(cases.severity, finding.severity, key=SEVERITIES.index)
        if len(cases.examples) < _EXAMPLES:
            cases.examples.append((assessment.host, finding.verdict))
        for text in remarks(finding):
            if text in cases.remarks or len(cases.remarks) < _REMARKS:
                cases.remarks[text] += 1

    def _rank(self, assessment: Assessment) -> None:
        severities = Counter(finding.severity for finding in assessment.failing())
        if severities:
            toll = Toll(tuple(severities[each] for each in SEVERITIES), line(assessment.host))
            heapq.heappush(self._worst, (toll, -self.hosts))  # of equals the first stays
            if len(self._worst) > _WORST:
                heapq.heappop(self._worst)
