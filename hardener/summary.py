"""Count the findings of a run host by host; only the totals are kept in memory, not the findings."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hardener import catalogue
from hardener.decisions.remarks import Tally, remarks
from hardener.model import Assessment, Control, Finding, Severity, Status, Verdict
from hardener.snapshot import UNREAD
from hardener.text import first, line

_EXAMPLES = 3
_WORST = 5
_REMARKS = 20  # different texts for one control, since objects have different names on each host
_TEXTS = 20  # different findings of one control, for the same reason
_CAUSES = 200
_MARKS = "\"'`(),:;"  # beside a host's name in a reason
_TOGETHER = 50  # hosts with the same reason that are named
_KEPT = (Status.FAIL, Status.ERROR, Status.WAIVED)

_Place = tuple[tuple[float, str], ...]  # of a control in the order of the benchmark

SEVERITIES = tuple(Severity)  # most severe first, in the order of the model
LISTED = (Status.FAIL, Status.ERROR)


@dataclass(slots=True)
class HostNames:
    """A number of hosts, and the names of the first few."""

    hosts: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, host: str) -> None:
        """Count a host."""
        self.hosts += 1
        if len(self.names) < _EXAMPLES:
            self.names.append(host)


@dataclass(slots=True)
class Cause(HostNames):
    """A reason why controls could not be decided: the controls, and the hosts with this reason.

    Attributes:
        text: the reason, with HOST for the host's name if several hosts share it; empty for all reasons
            beyond the first 200.
        actual: the finding of the first control, as text; the reason if it differs between hosts.
        unreachable: whether a whole host could not be audited because of it.
        controls: the id of each control, by its place in the order of the benchmark.
    """

    text: str = ""
    actual: str = ""
    unreachable: bool = False
    controls: dict[_Place, str] = field(default_factory=dict)


@dataclass(slots=True)
class ControlCases:
    """The hosts on which a control has a given status: their number, and the first few names."""

    control: Control
    id: str
    title: str  # what is wrong, if the status is a failure
    place: _Place
    severity: Severity  # of the host on which it is most severe
    hosts: int = 0
    examples: list[tuple[str, Verdict]] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)  # waivers and attestations, by number of hosts
    # the hosts by the text of their finding, for the first 20 texts
    actual: dict[str, HostNames] = field(default_factory=dict)

    def found(self, hosts: int, most: int) -> list[str]:
        """Return the most frequent findings as lines, which name their hosts if the run has several.

        Args:
            hosts: the number of hosts of the run.
            most: how many lines; one more counts the others.
        """
        by_hosts = sorted(self.actual.items(), key=lambda case: -case[1].hosts)
        return list(first([_on_hosts(text, names, hosts) for text, names in by_hosts], most))


def _on_hosts(actual: str, found: HostNames, hosts: int) -> str:
    text = line(actual, 200) or "no detail"
    if hosts == 1:
        return text
    more = f" +{found.hosts - len(found.names)} more" if found.hosts > len(found.names) else ""
    names = ", ".join(line(name, 60) for name in found.names) + more
    return f"{'all hosts' if found.hosts == hosts else names}: {text}"


@dataclass(frozen=True, slots=True, order=True)
class HostScore:
    """The failing controls of one host, by severity; instances compare by severity."""

    by_severity: tuple[int, ...]
    host: str = field(compare=False)


def compliance(counts: Mapping[Status, int]) -> float | None:
    """Return the compliance: the share of passing controls among those that pass, fail or are errors.

    A waived control fails: a waiver accepts that, and must not look like an improvement.
    """
    decided = sum(counts.get(each, 0) for each in (Status.PASS, Status.FAIL, Status.WAIVED, Status.ERROR))
    return counts.get(Status.PASS, 0) / decided if decided else None


def by_name(counts: Mapping[Status, int]) -> dict[str, int]:
    """Return the number of findings by status name, with every status."""
    return {status.value: counts.get(status, 0) for status in Status}


def percentage(share: float | None) -> str:
    """Format a share; it is rounded down, so that 100 % means that nothing is missing."""
    return "-" if share is None else f"{int(share * 100 + 1e-9)}%"


class NotChanged:
    """The hosts that a run did not change as asked, with reasons; ``lists`` has a list for each title."""

    def __init__(self) -> None:
        self.not_begun: list[tuple[str, str]] = []
        self.failed: list[tuple[str, str]] = []
        self.lists = {"Not begun: left as they were": self.not_begun, "The change failed": self.failed}

    def __len__(self) -> int:
        return sum(map(len, self.lists.values()))

    def add(self, assessment: Assessment) -> None:
        """Add a host if the run did not change it as asked."""
        if assessment.not_begun:
            self.not_begun.append((line(assessment.host), line(assessment.not_begun, 1000)))
        if assessment.change_failed:
            self.failed.append((line(assessment.host), line(assessment.change_failed, 1000)))


def hosts_by_reason(hosts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join the names of hosts with the same reason; of very many hosts, name only the first.

    The same reason may have the name of each host in it, as those of ssh do: HOST then stands for it.
    """
    reasons: dict[str, list[tuple[str, str]]] = {}
    for host, reason in hosts:
        reasons.setdefault(_for_any_host(reason, host), []).append((host, reason))
    return [
        (", ".join(first([host for host, _ in alike], _TOGETHER)), common if len(alike) > 1 else alike[0][1])
        for common, alike in reasons.items()
    ]


def by_title(not_changed: NotChanged) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the lists that have hosts, with hosts of the same reason joined."""
    return [(title, hosts_by_reason(hosts)) for title, hosts in not_changed.lists.items() if hosts]


def _for_any_host(reason: str, host: str) -> str:
    """Return a reason with HOST in place of each word that is the name of the host."""
    words = (word.replace(host, "HOST") if word.strip(_MARKS) == host else word for word in reason.split(" "))
    return " ".join(words) if host else reason


def _reason(actual: str) -> str:
    """Return why a source could not be read, without the source's name; return other texts unchanged."""
    return line(actual.partition(UNREAD)[2] or actual)


class Summary:
    """The totals of a run.

    Args:
        listed: the statuses for which ``cases`` returns all controls.
        is_part: whether only chosen results of the run are counted.
    """

    def __init__(self, listed: Collection[Status] = LISTED, *, is_part: bool = False) -> None:
        self.listed = frozenset(listed)
        self.is_part = is_part
        self.benchmark = ""
        self.hosts = 0
        self.first: Assessment | None = None
        self.counts: Counter[Status] = Counter()
        self._sections: dict[str, Counter[Status]] = {}
        self.unreachable: list[tuple[str, str]] = []
        self.not_changed = NotChanged()
        self.last_runs: list[tuple[str, str]] = []  # hosts whose last run was undone
        self.decided = Tally()
        self.failing: Counter[Severity] = Counter()
        self._causes: dict[tuple[bool, str], Cause] = {}
        self._cases: dict[tuple[Status, str], ControlCases] = {}
        self._worst: list[tuple[HostScore, int]] = []
        self._places: dict[str, _Place] = {}  # of the controls, by slug

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
        for finding in assessment.findings:
            place = self._place(finding.control)
            section = finding.control.section_in(assessment.benchmark)
            self._sections.setdefault(section, Counter())[finding.status] += 1
            self.counts[finding.status] += 1
            if finding.status is Status.FAIL:
                self.failing[finding.severity] += 1
            kept = finding.status in _KEPT or finding.status in self.listed or finding.attested
            if kept and not assessment.unreachable:
                self._keep(finding, place, assessment)
        self._explain(assessment)
        if last_run := assessment.facts.get("last_run"):
            self.last_runs.append((line(assessment.host), line(last_run, 1000)))
        self.not_changed.add(assessment)
        if assessment.unreachable:
            self.unreachable.append((line(assessment.host), line(assessment.unreachable)))
        else:
            self._rank(assessment)

    @property
    def sections(self) -> dict[str, Counter[Status]]:
        """Return the number of findings by section and status, in the order of the benchmark."""
        return dict(sorted(self._sections.items(), key=lambda each: catalogue.order(each[0])))

    def cases(self, status: Status) -> list[ControlCases]:
        """Return the controls that have this status on some host, most severe first.

        For a status that is not listed, return only waived or attested controls.
        """
        chosen = [cases for (each, _), cases in self._cases.items() if each is status]
        return sorted(chosen, key=lambda cases: (SEVERITIES.index(cases.severity), cases.place))

    def worst(self) -> list[HostScore]:
        """Return the hosts with the most severe failures, worst first."""
        return [toll for toll, _ in sorted(self._worst, reverse=True)]

    def causes(self) -> list[Cause]:
        """Return the reasons why controls could not be decided, sorted by number of controls."""
        return sorted(self._causes.values(), key=lambda cause: (-len(cause.controls), -cause.hosts))

    def _place(self, control: Control) -> _Place:
        """Return the sort key of a control in the benchmark."""
        place = self._places.get(control.slug)
        if place is None:
            place = self._places[control.slug] = catalogue.order(control.id_in(self.benchmark))
        return place

    def _explain(self, assessment: Assessment) -> None:
        """Count the reasons for which controls of a host could not be decided."""
        found: dict[str, dict[_Place, Finding]] = {}
        is_gone = bool(assessment.unreachable)
        for finding in assessment.findings:
            if finding.status is Status.ERROR:
                text = line(assessment.unreachable) if is_gone else _reason(finding.verdict.actual)
                found.setdefault(text, {})[self._place(finding.control)] = finding
        for text, findings in found.items():
            cause = self._cause(text, assessment.host if is_gone else "")
            actual = line(next(iter(findings.values())).verdict.actual)
            cause.actual = actual if cause.actual in ("", actual) and cause.text else cause.text
            for place, finding in findings.items():
                cause.controls.setdefault(place, finding.control.id_in(assessment.benchmark))
            cause.add(line(assessment.host))

    def _cause(self, text: str, gone: str) -> Cause:
        """Return the entry of a reason; ``gone`` is a host that could not be audited because of it."""
        key = bool(gone), text.replace(gone, "HOST") if gone else text  # ssh names the host in its reasons
        if key not in self._causes and len(self._causes) >= _CAUSES:
            key = key[0], ""
        if cause := self._causes.get(key):
            cause.text = key[1]
        else:
            cause = self._causes[key] = Cause(text=text if key[1] else "", unreachable=key[0])
        return cause

    def _keep(self, finding: Finding, place: _Place, assessment: Assessment) -> None:
        control = finding.control
        cases = self._cases.setdefault(
            (finding.status, control.slug),
            ControlCases(
                control,
                control.id_in(assessment.benchmark),
                control.title_if(finding.status),
                place,
                finding.severity,
            ),
        )
        cases.hosts += 1
        cases.severity = min(cases.severity, finding.severity, key=SEVERITIES.index)
        if len(cases.examples) < _EXAMPLES:
            cases.examples.append((assessment.host, finding.verdict))
        actual = finding.verdict.actual
        if actual in cases.actual or len(cases.actual) < _TEXTS:
            cases.actual.setdefault(actual, HostNames()).add(assessment.host)
        for text in remarks(finding):
            if text in cases.remarks or len(cases.remarks) < _REMARKS:
                cases.remarks[text] += 1

    def _rank(self, assessment: Assessment) -> None:
        severities = Counter(finding.severity for finding in assessment.failing())
        if severities:
            toll = HostScore(tuple(severities[each] for each in SEVERITIES), line(assessment.host))
            heapq.heappush(self._worst, (toll, -self.hosts))  # of equal entries keep the first
            if len(self._worst) > _WORST:
                heapq.heappop(self._worst)
