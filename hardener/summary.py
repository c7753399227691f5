"""Count the findings of a run host by host; only the totals are kept in memory, not the findings."""

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
_REMARKS = 20  # different texts for one control, since objects have different names on each host

SEVERITIES = tuple(Severity)  # most severe first, in the order of the model


@dataclass(slots=True)
class Cases:
    """The hosts on which one control has one status: their number, and the first few names."""

    control: Control
    id: str
    place: int  # index of the control in the benchmark
    severity: Severity  # of the host on which it is most severe
    hosts: int = 0
    examples: list[tuple[str, Verdict]] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)  # waivers and attestations, by number of hosts


@dataclass(frozen=True, slots=True, order=True)
class Toll:
    """The failing controls of one host, by severity; instances compare by severity."""

    by_severity: tuple[int, ...]
    host: str = field(compare=False)


def compliance(counts: Mapping[Status, int]) -> float | None:
    """Return the share of passing controls among those that a check decided or should have decided."""
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
        self.last_runs: list[tuple[str, str]] = []  # hosts whose last run was undone
        self.decided = Tally()
        self._cases: dict[tuple[Status, str], Cases] = {}
        self._worst: list[tuple[Toll, int]] = []

    def watch(self, assessments: Iterable[Assessment]) -> Iterator[Assessment]:
        """Yield assessments unchanged and count them."""
        for assessment in assessments:
            self.add(assessment)
            yield assessment

    def add(self, assessment: Assessment) -> None:
        """Count the assessment of one host."""
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
        """Return the controls that have this status on some host, most severe first.

        Of those that pass only what a person has attested is kept, and nothing of the others.
        """
        chosen = [cases for (each, _), cases in self._cases.items() if each is status]
        return sorted(chosen, key=lambda cases: (SEVERITIES.index(cases.severity), cases.place))

    def worst(self) -> list[Toll]:
        """Return the hosts with the most severe failures, worst first."""
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
            heapq.heappush(self._worst, (toll, -self.hosts))  # of equal entries keep the first
            if len(self._worst) > _WORST:
                heapq.heappop(self._worst)
