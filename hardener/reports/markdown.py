"""The Markdown report, for a comment on a merge request: the failing controls, within the size limit.

GitHub accepts 65,536 characters in a comment. Entries that do not fit are counted; the counts always fit.
Untrusted text is written as code, and never in a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hardener.catalogue.words import FRAMEWORKS, SOURCES
from hardener.comparison.previous_runs import LABELS, PreviousRuns, Since
from hardener.comparison.runs import ControlChange
from hardener.model import Assessment, Status
from hardener.reports.interface import Report
from hardener.reports.lib.groups import Group, GroupTotals
from hardener.reports.lib.text import code
from hardener.run import RunInfo
from hardener.summary import SEVERITIES, ControlCases, Summary, compliance, hosts_by_reason, percentage
from hardener.text import first, utc

_LIST = 12_000  # characters of each list, so that none displaces the others
_NAMED = 2000  # characters of the names of hosts that have one reason
_REMARKS = 5  # of one control
_NAMES = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.MANUAL: "manual",
    Status.NOT_APPLICABLE: "n/a",
    Status.WAIVED: "waived",
    Status.ERROR: "error",
}


class MarkdownReport(Report):
    """Markdown for merge requests."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._summary = Summary()
        self._frameworks = FrameworkView()
        self._groups = GroupTotals()
        self._since = Since(previous) if previous and previous.points else None

    def begin(self) -> str:
        """Return nothing: the report begins with the summary, which is known only at the end."""
        return ""

    def host(self, assessment: Assessment) -> str:
        """Return nothing; the host is counted."""
        self._summary.add(assessment)
        self._frameworks.add(assessment)
        self._groups.add(assessment)
        if self._since:
            self._since.add(assessment)
        return ""

    def end(self) -> Iterator[str]:
        """Return the summary."""
        summary = self._summary
        yield f"## {self._headline()}\n"
        if self.run.filtered:
            yield f"\nFiltered: this report has a part of the run, chosen by {code(self.run.filtered)}\n"
        if self.run.runs:
            yield f"\nState: the newest results of several runs: {code(self.run.runs)}\n"
        failing = summary.cases(Status.FAIL)
        yield from _list(f"Failing: {_count(len(failing), 'control')}", self._cases(failing))
        yield "\n"
        yield from _table(summary.sections, summary.counts)
        groups = self._groups.several()
        yield from _list(
            f"By group: {_count(len(groups), 'group')}",
            (_group(each, whole=self.run.whole_hosts) for each in groups),
        )
        if self._since:
            yield from self._changes(self._since)
        waived = summary.cases(Status.WAIVED)
        yield from _list(f"Waived: {_count(len(waived), 'control')}", self._decided(waived))
        attested = summary.cases(Status.PASS)
        yield from _list(
            f"Passing by attestation: {_count(len(attested), 'control')}", self._decided(attested)
        )
        notices = summary.decided.notices(self.run.decisions)
        yield from _list(
            "Waivers and attestations that need attention", (f"- {code(each)}\n" for each in notices)
        )
        errors = summary.cases(Status.ERROR)
        yield from _list(f"Not evaluated: {_count(len(errors), 'control')}", self._cases(errors))
        gone = [f"- {code(host)}: {code(reason)}\n" for host, reason in summary.unreachable]
        yield from _list(f"Not reached: {_count(len(gone), 'host')}", gone)
        for title, hosts in summary.not_changed.lists.items():
            alike = [f"- {code(names, _NAMED)}: {code(reason)}\n" for names, reason in hosts_by_reason(hosts)]
            yield from _list(f"{title.replace(':', ',')}: {_count(len(hosts), 'host')}", alike)
        yield from _frameworks(self._frameworks)
        run = self.run
        yield (
            f"\n{run.benchmark}, {utc(run.ended)}, hardener {run.tool_version}, run {code(run.run_id)},"
            f" catalogue `{run.catalogue_digest[:12]}`\n"
        )

    def _headline(self) -> str:
        counts, hosts = self._summary.counts, _count(self._summary.hosts, "host")
        if failing := counts[Status.FAIL]:
            by = ", ".join(
                f"{number} {each}" for each in SEVERITIES if (number := self._summary.failing[each])
            )
            return f"Not compliant: {_count(failing, 'finding')} on {hosts} ({by})"
        if errors := counts[Status.ERROR]:
            return f"Incomplete: {_count(errors, 'control')} not evaluated on {hosts}"
        if failed := len(self._summary.not_changed.failed):
            return f"Incomplete: the change of {_count(failed, 'host')} failed"
        if waiting := len(self._summary.not_changed.not_begun):
            return f"Incomplete: the change of {_count(waiting, 'host')} was not begun"
        if self.run.filtered:
            return f"No failure among the chosen results: {hosts}"
        return f"Compliant: {hosts}" if self._summary.hosts else "No host was assessed"

    def _changes(self, since: Since) -> Iterator[str]:
        """Return the changes of the findings since the last run."""
        told = ", ".join(f"{number} {LABELS[kind]}" for kind, number in since.totals())
        told = told or "no host could be compared"
        title = f"Since the last run: {told}"
        changes = list(map(self._change, since.changes()))
        yield from _list(title, changes) if changes else (f"\n{title}\n",)

    def _change(self, change: ControlChange) -> str:
        step = f"{_NAMES[change.before.status]} → {_NAMES[change.after.status]}"
        where = f" on {_count(change.hosts, 'host')}" if self._summary.hosts > 1 else ""
        host = f"{code(change.host, 60)}: " if self._summary.hosts > 1 else ""
        title = change.control.title_if(change.after.status)
        return (
            f"- **{change.id}** {change.severity}: {title}: {step}{where}  \n"
            f"  {host}{code(change.after.actual)}\n"
        )

    def _cases(self, cases: Iterable[ControlCases]) -> Iterator[str]:
        for each in cases:
            said = "".join(f"  \n  {code(text)}" for text in first(list(each.remarks), _REMARKS))
            head = f"- **{each.id}** {each.severity}: {each.title}"
            yield f"{head}  \n  {self._hosts_text(each)}{said}\n"

    def _decided(self, cases: Iterable[ControlCases]) -> Iterator[str]:
        """Return the entry of a waived or attested finding: owner, last day, reason."""
        for each in cases:
            said = "".join(f"  \n  {code(text, 600)}" for text in first(list(each.remarks), _REMARKS))
            where = f" ({each.hosts} of {self._summary.hosts} hosts)" if self._summary.hosts > 1 else ""
            yield f"- **{each.id}** {each.severity}: {each.title}{where}{said}\n"

    def _hosts_text(self, cases: ControlCases) -> str:
        host, verdict = cases.examples[0]
        if self._summary.hosts == 1:
            return code(verdict.actual)
        if cases.hosts == 1:
            return f"{code(host, 60)}: {code(verdict.actual)}"
        names = ", ".join(code(name, 60) for name, _ in cases.examples)
        more = cases.hosts - len(cases.examples)
        return (
            f"{cases.hosts} of {self._summary.hosts} hosts: {names}{f' +{more} more' if more else ''};"
            f" {code(host, 60)} has {code(verdict.actual)}"
        )


def _table(sections: Mapping[str, Mapping[Status, int]], total: Mapping[Status, int]) -> Iterator[str]:
    yield f"| section | {' | '.join(_NAMES.values())} |\n| --- |{' ---: |' * len(_NAMES)}\n"
    for section, counts in sections.items():
        yield f"| {section} | {_numbers(counts)} |\n"
    yield f"| **total** | {_numbers(total)} |\n"


def _group(group: Group, *, whole: bool) -> str:
    """Return the totals of a group of hosts."""
    parts = [
        _count(group.hosts, "host"),
        *([f"{group.unreachable} not reached"] if group.unreachable else []),
        *(f"{group.counts[status]} {name}" for status, name in _NAMES.items() if group.counts[status]),
        *([f"compliance {percentage(compliance(group.counts))}"] if whole else []),
    ]
    return f"- {code(group.name, 60)}: {', '.join(parts)}\n"


def _numbers(counts: Mapping[Status, int]) -> str:
    return " | ".join(str(counts.get(status, 0)) for status in _NAMES)


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    """Return a foldable list; replace the entries that do not fit by their number."""
    items = list(items)
    if not items:
        return
    yield f"\n<details open>\n<summary>{title}</summary>\n\n"
    room = _LIST
    for index, item in enumerate(items):
        room -= len(item)
        if room < 0:
            yield f"- … and {len(items) - index} more: see the other reports\n"
            break
        yield item
    yield "\n</details>\n"


def _frameworks(view: FrameworkView) -> Iterator[str]:
    rows = [
        f"| {FRAMEWORKS[framework]} | {', '.join(each.id for each in found if each.open) or 'none'} "
        f"| {len(found)} | {', '.join(SOURCES[source] for source in _sources(found))} |\n"
        for framework, found in view.by_framework()
    ]
    if rows:
        yield "\n<details>\n<summary>Requirements of frameworks with a failing control</summary>\n\n"
        yield "| framework | requirements | of | mapped by |\n| --- | --- | ---: | --- |\n"
        yield from rows
        yield "\n</details>\n"


def _sources(requirements: Iterable[Requirement]) -> list[str]:
    return sorted({source for each in requirements for source in each.sources})


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(slots=True)
class Requirement:
    """A requirement of a framework: its findings by status, and its controls with their mapping source."""

    framework: str
    id: str
    counts: Counter[Status] = field(default_factory=Counter)
    controls: dict[str, str] = field(default_factory=dict)  # slug -> source of its mapping

    @property
    def open(self) -> bool:
        """Return whether one of the requirement's controls fails on some host."""
        return self.counts[Status.FAIL] > 0

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the sources of the mappings, without duplicates."""
        return tuple(sorted(set(self.controls.values())))


class FrameworkView:
    """The findings, counted by the requirements of frameworks that their controls serve.

    If all controls of a requirement pass, it is not necessarily met, since it covers more.
    """

    def __init__(self) -> None:
        self._requirements: dict[tuple[str, str], Requirement] = {}

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        for finding in assessment.findings:
            for mapping in finding.control.mappings:
                for identifier in mapping.requirements:
                    key = (mapping.framework, identifier)
                    requirement = self._requirements.setdefault(key, Requirement(*key))
                    requirement.counts[finding.status] += 1
                    requirement.controls[finding.control.slug] = mapping.source

    def by_framework(self) -> Iterator[tuple[str, list[Requirement]]]:
        """Return the frameworks in the catalogue's order, their requirements in the order of their ids."""
        for framework in FRAMEWORKS:
            found = [each for each in self._requirements.values() if each.framework == framework]
            if found:
                yield framework, sorted(found, key=lambda each: natural(each.id))


def natural(identifier: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``4.2`` before ``4.10`` and ``AC-6`` before ``AC-6(5)``."""
    parts = re.findall(r"\d+|\D+", identifier)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
