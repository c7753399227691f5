"""The HTML report: one self-contained file for operators and auditors.

The frame and the totals are rendered here and need no script. The findings are data in the page, one record
for each host, written as the hosts arrive; the page's own script renders what the reader opens. With up to 50
hosts the page also has all findings as plain HTML, which the script replaces: readers such as Jenkins refuse
the script and the style of a file. Nothing is loaded from elsewhere: the policy of the page allows only its
style sheet and its script.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hardener.catalogue.words import FRAMEWORKS, SOURCES
from hardener.comparison.finding import CHANGES
from hardener.comparison.previous_runs import LABELS, Point, PreviousRuns, Since
from hardener.model import Assessment, Control, Finding, Severity, WorkloadRisk
from hardener.reports.interface import Report
from hardener.reports.lib.chart_data import columns, trend
from hardener.reports.lib.groups import Group, GroupTotals
from hardener.reports.lib.overview import (
    kind_key,
    lead,
    section_records,
    severe_records,
    since_record,
    workload_record,
)
from hardener.reports.lib.page import (
    CODES,
    control_record,
    data,
    digest,
    environment,
    policy,
    script,
    style,
    verdict_record,
)
from hardener.reports.lib.serial import compact
from hardener.reports.lib.statuses import ORDER, WORDS, headline, plain, section_title
from hardener.reports.lib.tables import MOST_HOSTS, PlainFindings, decision_rows
from hardener.run import RunInfo
from hardener.summary import SEVERITIES, Summary, by_title, compliance, percentage
from hardener.text import line, utc

_GRAVITY = {level: place for place, level in enumerate(Severity)}
_REMEMBERED = 50_000  # a verdict is written once, however many hosts have it
_CHANGES_SHOWN = 6
_WORKLOADS_SHOWN = 20
_GROUPS_OF_A_HOST = 100


class HtmlReport(Report):
    """The HTML page."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._summary = Summary()
        self._since = Since(previous) if previous and previous.points else None
        self._controls: dict[str, Control] = {}
        self._verdicts: dict[bytes, int] = {}
        self._written = 0
        self._tolls: list[tuple[int, ...]] = []
        self._only: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._levels: Counter[str] = Counter()  # of the running containers
        self._riskiest: list[tuple[str, WorkloadRisk]] = []
        self._groups: dict[str, int] = {}  # numbers of the groups
        self._totals = GroupTotals()
        self._plain = PlainFindings()

    def begin(self) -> str:
        """Return the head of the page and the start of the data."""
        return (
            environment()
            .get_template("begin.html")
            .render(
                run=self.run,
                ended=utc(self.run.ended),
                policy=policy(digest(style()), digest(script())),
                style=style(),
            )
            + "["
        )

    def host(self, assessment: Assessment) -> str:
        """Return the record of one host, as ``model.js`` reads it."""
        comma = ",\n" if self._summary.hosts else ""
        self._summary.add(assessment)
        for finding in assessment.findings:
            self._controls.setdefault(finding.control.slug, finding.control)
        facts = tuple((line(name), line(value)) for name, value in sorted(assessment.facts.items()))
        if assessment.not_begun:
            facts += (("not begun", line(assessment.not_begun, 1000)),)
        if assessment.change_failed:
            facts += (("change failed", line(assessment.change_failed, 1000)),)
        self._only = (line(assessment.host), facts) if self._summary.hosts == 1 else None
        if not assessment.unreachable:
            severities = Counter(finding.severity for finding in assessment.failing())
            self._tolls.append(tuple(severities[each] for each in SEVERITIES))
        self._take_workloads(assessment)
        self._totals.add(assessment)
        findings = {finding.control.slug: finding for finding in assessment.findings}
        new: list[list[Any]] = []
        name = line(assessment.host)
        codes = "".join(CODES[findings[slug].status] if slug in findings else "-" for slug in self._controls)
        numbers = [self._number(findings[slug], new) if slug in findings else 0 for slug in self._controls]
        moves = self._moves(assessment, new)
        self._plain.add(name, codes, numbers, new)
        record = [
            name,
            line(assessment.collected_at),
            facts,
            line(assessment.unreachable),
            codes,
            numbers,
            new,
            moves,
            [
                self._groups.setdefault(line(group), len(self._groups))
                for group in assessment.groups[:_GROUPS_OF_A_HOST]
            ],
        ]
        return comma + data(record)

    def end(self) -> Iterator[str]:
        """Return the end of the page: remaining data, totals, and the script that shows the findings."""
        known = self.catalogue()
        yield "]"
        yield (
            environment()
            .get_template("end.html")
            .render(
                self.overview(),
                catalogue=data(known),
                script=script(),
                plain=list(self._plain.sections(known)),
                too_many=MOST_HOSTS if self._plain.too_many else 0,
            )
        )

    def overview(self, view: Callable[[str], str] = str) -> dict[str, Any]:
        """Return what the overview shows once all hosts are counted.

        Args:
            view: returns the address of a view of the findings, such as ``#status=fail``.
        """
        summary, counts = self._summary, self._summary.counts
        title, verdict = headline(
            summary.counts,
            summary.hosts,
            is_part=bool(self.run.filtered),
            not_changed=len(summary.not_changed),
        )
        return {
            "view": view,
            "run": self.run,
            "run_id": line(self.run.run_id),
            "filtered": self.run.filtered,
            "runs": line(self.run.runs, 2000),
            "started": utc(self.run.started),
            "ended": utc(self.run.ended),
            "headline": title,
            "verdict": verdict,
            "severe": severe_records(summary, lambda slug: view(f"#control-{slug}")),
            "lead": lead(summary, len(self._controls)),
            "only": self._only and {"name": self._only[0], "facts": self._only[1]},
            "hosts": summary.hosts,
            "statuses": [status.value for status in ORDER],
            "words": {status.value: word for status, word in WORDS.items()},
            "severities": [severity.value for severity in SEVERITIES],
            "counts": plain(counts),
            "share": percentage(compliance(counts)) if self.run.whole_hosts else "",
            "total": counts.total(),
            "sections": list(section_records(summary, self.run.benchmark)),
            "columns": columns(self._tolls, len(SEVERITIES)),
            "since": self._since and since_record(self._since, hosts=summary.hosts, most=_CHANGES_SHOWN),
            "trend": self.previous and trend([*self.previous.points, self._point()]),
            "worst": summary.worst(),
            "unreachable": summary.unreachable,
            "not_changed": by_title(summary.not_changed),
            "notices": summary.decided.notices(self.run.decisions),
            "workloads": self._workloads(),
            "groups": [_group(each, whole=self.run.whole_hosts) for each in self._totals.several()],
            "decisions": decision_rows(summary.decided, self.run.decisions),
            "frameworks": FRAMEWORKS,
            "sources": SOURCES,
        }

    def _take_workloads(self, assessment: Assessment) -> None:
        """Count the containers of a host, and keep the riskiest containers of all hosts."""
        found = assessment.workloads
        if found is None:
            return
        self._levels.update(found.levels)
        self._riskiest += [(line(assessment.host), each) for each in found.riskiest]
        self._riskiest.sort(key=lambda pair: (_GRAVITY[pair[1].level], -pair[1].points))  # stable
        del self._riskiest[_WORKLOADS_SHOWN:]

    def _workloads(self) -> dict[str, Any] | None:
        """Return the riskiest containers for the page; None where no container is running."""
        if not self._riskiest:
            return None
        total = self._levels.total()
        return {
            "total": total,
            "more": total - len(self._riskiest),
            "levels": [(level.value, self._levels[level.value]) for level in Severity],
            "rows": [{"host": host, **workload_record(each)} for host, each in self._riskiest],
        }

    def _number(self, finding: Finding, new: list[list[Any]]) -> int:
        """Return the number of a verdict in the page; add a new verdict to the record of the host."""
        record = verdict_record(finding)
        key = hashlib.blake2b(compact(record).encode(), digest_size=12).digest()
        number = self._verdicts.get(key)
        if number is None:
            number = self._written
            self._written += 1
            new.append(record)
            if len(self._verdicts) < _REMEMBERED:
                self._verdicts[key] = number
        return number

    def catalogue(self) -> dict[str, Any]:
        """Return the data that the script needs besides the hosts."""
        sections = list(self._summary.sections)
        return {
            "statuses": [[CODES[status], status.value, WORDS[status]] for status in ORDER],
            "severities": [severity.value for severity in SEVERITIES],
            "sections": [[name, section_title(name, self.run.benchmark)] for name in sections],
            "frameworks": FRAMEWORKS,
            "sources": SOURCES,
            "groups": list(self._groups),
            "moves": [[kind_key(each), LABELS[each]] for each in CHANGES] if self._since else [],
            "controls": [
                control_record(
                    control, sections.index(control.section_in(self.run.benchmark)), self.run.benchmark
                )
                for control in self._controls.values()
            ],
        }

    def _moves(self, assessment: Assessment, new: list[list[Any]]) -> list[tuple[int, int, str, int]]:
        """Return the changes of a host: control, kind of change, status and verdict before."""
        if not self._since:
            return []
        places = {slug: place for place, slug in enumerate(self._controls)}
        return [
            (
                places[change.slug],
                CHANGES.index(change.kind),
                CODES[change.before.status],
                self._number(change.before, new),
            )
            for change in self._since.add(assessment)
        ]

    def _point(self) -> Point:
        """Return this run as the last point of the trend."""
        summary = self._summary
        return Point(self.run.run_id, self.run.ended, summary.hosts, len(summary.unreachable), summary.counts)


def _group(group: Group, *, whole: bool) -> dict[str, Any]:
    """Return the totals of a group of hosts, for the overview."""
    return {
        "name": line(group.name),
        "hosts": group.hosts,
        "counts": plain(group.counts),
        "total": group.counts.total(),
        "share": percentage(compliance(group.counts) if whole else None),
    }
