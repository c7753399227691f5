"""Compare two audits of the same hosts: totals, and the change of each control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hardener.comparison.finding import CHANGES, ChangeKind, change_kind
from hardener.decisions.remarks import Tally
from hardener.errors import HardenerError
from hardener.model import Assessment, Control, Finding, Severity, Status, Verdict
from hardener.summary import SEVERITIES, NotChanged
from hardener.text import line


@dataclass(slots=True)
class ControlChange:
    """A control that changed in the same way on some hosts; the first host is the example."""

    control: Control
    id: str
    place: int  # index of the control in the benchmark
    kind: ChangeKind
    host: str
    before: Verdict
    after: Verdict
    severity: Severity  # greatest severity of the later findings
    hosts: int = 0


class Comparison:
    """The assessments of two runs, and the counts of their differences."""

    def __init__(self) -> None:
        self.benchmark = ""
        self.hosts = 0
        self.first: Assessment | None = None  # of the later assessments
        self.kinds: Counter[ChangeKind] = Counter()
        self.before: Counter[Status] = Counter()
        self.after: Counter[Status] = Counter()
        self.sections: dict[str, tuple[Counter[Status], Counter[Status]]] = {}
        self.decided = Tally()  # of the later assessments
        self.not_compared: list[tuple[str, str]] = []  # host and reason
        self.not_changed = NotChanged()
        self.last_runs: list[tuple[str, str]] = []  # hosts whose last run was undone
        self._changes: dict[tuple[str, Status, Status, ChangeKind], ControlChange] = {}

    def add(self, before: Assessment, after: Assessment) -> list[tuple[Finding, ChangeKind]]:
        """Compare one host; return the earlier findings that changed, with the kind of change.

        A host that could not be reached counts with its errors, but its controls are not listed: they were
        not evaluated, which is no change.

        Raises:
            HardenerError: the two assessments hold different controls.
        """
        pairs = list(_pairs(before, after))
        changed: list[tuple[Finding, ChangeKind]] = []
        self.hosts += 1
        self.first = self.first or after
        self.decided.add(after)
        self.benchmark = self.benchmark or after.benchmark
        if last_run := after.facts.get("last_run"):
            self.last_runs.append((line(after.host), line(last_run, 1000)))
        self.not_changed.add(after)
        gone = _unreachable(before, after)
        if gone:
            self.not_compared.append((line(after.host), line(gone)))
        for place, (old, new) in enumerate(pairs):
            section = new.control.section_in(after.benchmark)
            earlier, later = self.sections.setdefault(section, (Counter(), Counter()))
            earlier[old.status] += 1
            later[new.status] += 1
            self.before[old.status] += 1
            self.after[new.status] += 1
            if not gone:
                kind = self._note(old, new, place, after)
                if kind is not ChangeKind.UNCHANGED and kind in CHANGES:
                    changed.append((old, kind))
        return changed

    def changes(self, kind: ChangeKind) -> list[ControlChange]:
        """Return the controls with this kind of change on some host, most severe first."""
        chosen = [change for change in self._changes.values() if change.kind is kind]
        return sorted(chosen, key=lambda each: (SEVERITIES.index(each.severity), each.place))

    def _note(self, old: Finding, new: Finding, place: int, assessment: Assessment) -> ChangeKind:
        kind = change_kind(old, new)
        self.kinds[kind] += 1
        if kind is ChangeKind.UNCHANGED:
            return kind
        control = new.control
        change = self._changes.setdefault(
            (control.slug, old.status, new.status, kind),
            ControlChange(
                control=control,
                id=control.id_in(assessment.benchmark),
                place=place,
                kind=kind,
                host=line(assessment.host),
                before=old.verdict,
                after=new.verdict,
                severity=new.severity,
            ),
        )
        change.severity = min(change.severity, new.severity, key=SEVERITIES.index)
        change.hosts += 1
        return kind


def compare(before: Iterable[Assessment], after: Iterable[Assessment]) -> Comparison:
    """Compare two runs over the same hosts; a host of only one run is listed, not compared.

    Raises:
        HardenerError: the two runs judged different controls.
    """
    comparison = Comparison()
    coming = iter(before)
    earlier: dict[str, Assessment] = {}  # early ones: mostly none, as both runs have one order
    for assessment in after:
        while assessment.host not in earlier and (old := next(coming, None)):
            earlier[old.host] = old
        if old := earlier.pop(assessment.host, None):
            comparison.add(old, assessment)
        else:
            comparison.not_compared.append((line(assessment.host), "was not assessed before"))
    left = (*earlier, *(each.host for each in coming))
    comparison.not_compared += ((line(host), "was not assessed afterwards") for host in left)
    return comparison


def _pairs(before: Assessment, after: Assessment) -> Iterable[tuple[Finding, Finding]]:
    old = {finding.control.slug: finding for finding in before.findings}
    new = {finding.control.slug: finding for finding in after.findings}
    if old.keys() != new.keys():
        raise HardenerError(
            f"cannot compare {line(after.host)}: the two assessments hold different controls",
            hint="assess both with the same benchmark and selection",
        )
    return ((old[slug], finding) for slug, finding in new.items())


def _unreachable(before: Assessment, after: Assessment) -> str:
    if after.unreachable:
        return f"was not audited afterwards: {after.unreachable}"
    return f"was not audited before: {before.unreachable}" if before.unreachable else ""
