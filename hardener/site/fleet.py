"""Collect the data of the pages of an inventory from the assessments of its last run, host by host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hardener.decisions.remarks import remarks
from hardener.model import Assessment, Control, Finding, Severity, Status
from hardener.site.place import file_name
from hardener.site.rendering import shown
from hardener.summary import SEVERITIES, Summary, compliance

_ROWS = 5_000  # of one control, one a host; of a larger fleet the page says how many are left out

_GROUPS = 300

# The order in which a page shows findings.
STATUS_ORDER = (
    Status.FAIL,
    Status.ERROR,
    Status.MANUAL,
    Status.WAIVED,
    Status.PASS,
    Status.NOT_APPLICABLE,
)
# Shown host by host; a control that passes or does not apply has nothing to look at.
LISTED = (Status.FAIL, Status.ERROR, Status.MANUAL, Status.WAIVED)


class HostRow(NamedTuple):
    """A host in a list."""

    name: str
    file: str
    counts: Mapping[Status, int]
    toll: tuple[int, ...]  # failing controls by severity, most severe first
    unreachable: str
    collected_at: str
    groups: tuple[str, ...]
    not_begun: str
    change_failed: str

    @property
    def is_not_changed(self) -> bool:
        """Return whether the run did not change the host as asked."""
        return bool(self.not_begun or self.change_failed)

    @property
    def share(self) -> float | None:
        """Return the share of passing controls; None for a host that could not be reached."""
        return None if self.unreachable else compliance(self.counts)

    @property
    def rank(self) -> tuple[object, ...]:
        """Return the sort key for lists: unreachable hosts first, then hosts by most severe failures."""
        return (not self.unreachable, tuple(-number for number in self.toll), self.name)


class ControlRow(NamedTuple):
    """The result of a control on one host."""

    host: str
    file: str
    status: Status
    severity: Severity
    actual: str
    remarks: tuple[str, ...]


def host_row(assessment: Assessment) -> HostRow:
    """Return the row of a host for lists."""
    severities = Counter(finding.severity for finding in assessment.failing())
    return HostRow(
        name=shown(assessment.host),
        file=file_name(assessment.host),
        counts=assessment.counts(),
        toll=tuple(severities[each] for each in SEVERITIES),
        unreachable=shown(assessment.unreachable),
        collected_at=shown(assessment.collected_at),
        groups=assessment.groups,
        not_begun=shown(assessment.not_begun),
        change_failed=shown(assessment.change_failed),
    )


@dataclass(slots=True)
class ControlHosts:
    """A control, with its results on all hosts."""

    control: Control
    id: str
    section: str
    place: int
    counts: Counter[Status] = field(default_factory=Counter)
    severity: Severity = Severity.LOW  # of the host where it fails most severely
    rows: list[ControlRow] = field(default_factory=list)
    left_out: int = 0

    @property
    def file(self) -> str:
        """Return the file name of the page."""
        return file_name(self.control.slug)


@dataclass(slots=True)
class GroupHosts:
    """The hosts of a group of the inventory."""

    name: str
    hosts: list[HostRow] = field(default_factory=list)
    counts: Counter[Status] = field(default_factory=Counter)
    failing: Counter[str] = field(default_factory=Counter)  # hosts by slug

    @property
    def file(self) -> str:
        """Return the file name of the page."""
        return file_name(self.name)


class Gathered:
    """The results of the last run of an inventory, by host, control, group and decision."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.hosts: list[HostRow] = []
        self.controls: dict[str, ControlHosts] = {}
        self.groups: dict[str, GroupHosts] = {}

    def add(self, assessment: Assessment) -> HostRow:
        """Add one host; return its row."""
        self.summary.add(assessment)
        row = host_row(assessment)
        self.hosts.append(row)
        for place, finding in enumerate(assessment.findings):
            self._note(place, finding, assessment, row)
        for name in row.groups:
            group = self.groups.setdefault(name, GroupHosts(name))
            group.hosts.append(row)
            group.counts.update(row.counts)
            group.failing.update(finding.control.slug for finding in assessment.failing())
        return row

    def sorted_hosts(self) -> list[HostRow]:
        """Return the hosts in the order of lists."""
        return sorted(self.hosts, key=lambda each: each.rank)

    def shown_groups(self) -> list[GroupHosts]:
        """Return the groups that get a page, by name; if there are too many, only the largest groups."""
        largest = sorted(self.groups.values(), key=lambda each: (-len(each.hosts), each.name))[:_GROUPS]
        return sorted(largest, key=lambda each: each.name)

    def by_section(self) -> Iterator[tuple[str, list[ControlHosts]]]:
        """Yield the controls of each section, in the order of the benchmark."""
        sections: dict[str, list[ControlHosts]] = {}
        for each in sorted(self.controls.values(), key=lambda each: each.place):
            sections.setdefault(each.section, []).append(each)
        yield from sections.items()

    def _note(self, place: int, finding: Finding, assessment: Assessment, host: HostRow) -> None:
        control, status = finding.control, finding.status
        known = self.controls.get(control.slug)
        if known is None:
            known = self.controls[control.slug] = ControlHosts(
                control,
                control.id_in(assessment.benchmark),
                control.section_in(assessment.benchmark),
                place,
                severity=finding.severity,
            )
        known.counts[status] += 1
        if status is Status.FAIL:
            known.severity = min(known.severity, finding.severity, key=SEVERITIES.index)
        if status in LISTED and not assessment.unreachable:
            if len(known.rows) < _ROWS:
                known.rows.append(
                    ControlRow(
                        host.name,
                        host.file,
                        status,
                        finding.severity,
                        shown(finding.verdict.actual),
                        tuple(shown(each) for each in remarks(finding)[:3]),
                    )
                )
            else:
                known.left_out += 1
