"""The HTML report: one self-contained file for operators and auditors.

The frame and the totals are rendered here and need no script. The findings are data in the page, one record
for each host, written as the hosts arrive; the page's own script renders what the reader opens. Nothing is
loaded from elsewhere: the page's policy allows only its style sheet and its script.

Untrusted text is escaped by Jinja, or is JSON that the script inserts as text nodes: by the policy's trusted
types the browser itself refuses to parse text as HTML.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.comparison.finding import CHANGES, ChangeKind
from hardener.comparison.previous_runs import LABELS, Point, PreviousRuns, Since
from hardener.comparison.runs import ControlChange
from hardener.decisions.remarks import remarks
from hardener.model import Assessment, Control, Finding, Severity, Status, WorkloadRisk
from hardener.reports.interface import Report
from hardener.reports.lib.chart_data import columns, trend
from hardener.reports.lib.serial import compact
from hardener.reports.lib.statuses import ORDER, WORDS, headline, plain, section_title
from hardener.run import RunInfo
from hardener.summary import SEVERITIES, Summary
from hardener.text import line, utc

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("model.js", "elements.js", "main.js")

_CODES = dict(zip(ORDER, "pfemwn", strict=True))
_OFFENDERS_SHOWN = 50
_EVIDENCE_SHOWN = 20
_GRAVITY = {level: place for place, level in enumerate(Severity)}
_REMEMBERED = 50_000  # a verdict is written once, however many hosts have it
_CHANGES_SHOWN = 6
_NAMES_SHOWN = 5
_WORKLOADS_SHOWN = 20


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

    def begin(self) -> str:
        """Return the head of the page and the start of the data."""
        return (
            _environment()
            .get_template("begin.html")
            .render(run=self.run, ended=utc(self.run.ended), policy=_policy(), style=_style())
            + "["
        )

    def host(self, assessment: Assessment) -> str:
        """Return the record of one host; see ``model.js``."""
        comma = ",\n" if self._summary.hosts else ""
        self._summary.add(assessment)
        for finding in assessment.findings:
            self._controls.setdefault(finding.control.slug, finding.control)
        facts = tuple((line(name), line(value)) for name, value in sorted(assessment.facts.items()))
        self._only = (line(assessment.host), facts) if self._summary.hosts == 1 else None
        if not assessment.unreachable:
            severities = Counter(finding.severity for finding in assessment.failing())
            self._tolls.append(tuple(severities[each] for each in SEVERITIES))
        self._take_workloads(assessment)
        findings = {finding.control.slug: finding for finding in assessment.findings}
        new: list[list[Any]] = []
        record = [
            line(assessment.host),
            line(assessment.collected_at),
            facts,
            line(assessment.unreachable),
            "".join(_CODES[findings[slug].status] if slug in findings else "-" for slug in self._controls),
            [self._number(findings[slug], new) if slug in findings else 0 for slug in self._controls],
            new,
            self._moves(assessment, new),
        ]
        return comma + _data(record)

    def end(self) -> Iterator[str]:
        """Return the rest of the data, the totals, and the script that shows the findings."""
        summary, counts = self._summary, self._summary.counts
        title, verdict = headline(summary.counts, summary.hosts, is_part=bool(self.run.filtered))
        yield "]"
        yield (
            _environment()
            .get_template("end.html")
            .render(
                run=self.run,
                run_id=line(self.run.run_id),
                filtered=self.run.filtered,
                started=utc(self.run.started),
                ended=utc(self.run.ended),
                catalogue=_data(self._catalogue()),
                script=_script(),
                headline=title,
                verdict=verdict,
                lead=self._lead(),
                only=self._only and {"name": self._only[0], "facts": self._only[1]},
                hosts=summary.hosts,
                statuses=[status.value for status in ORDER],
                words={status.value: word for status, word in WORDS.items()},
                severities=[severity.value for severity in SEVERITIES],
                counts=plain(counts),
                total=counts.total(),
                sections=list(self._sections()),
                columns=columns(self._tolls, len(SEVERITIES)),
                since=self._since and _since(self._since, summary.hosts),
                trend=self.previous and trend([*self.previous.points, self._point()]),
                worst=summary.worst(),
                unreachable=summary.unreachable,
                notices=summary.decided.notices(self.run.decisions),
                workloads=self._workloads(),
            )
        )

    def _take_workloads(self, assessment: Assessment) -> None:
        """Count the containers of a host, and keep the riskiest ones of all hosts."""
        found = assessment.workloads
        if found is None:
            return
        self._levels.update(found.levels)
        self._riskiest += [(line(assessment.host), each) for each in found.riskiest]
        self._riskiest.sort(key=lambda pair: (_GRAVITY[pair[1].level], -pair[1].points))  # stable
        del self._riskiest[_WORKLOADS_SHOWN:]

    def _workloads(self) -> dict[str, Any] | None:
        """Return the riskiest containers for the page; None where none is running."""
        if not self._riskiest:
            return None
        total = self._levels.total()
        return {
            "total": total,
            "more": total - len(self._riskiest),
            "levels": [(level.value, self._levels[level.value]) for level in Severity],
            "rows": [
                {
                    "host": host,
                    "name": line(each.container, 100),
                    "image": line(each.image, 100),
                    "level": each.level.value,
                    "points": each.points,
                    "why": [line(text) for text in each.why],
                    "first": [line(text) for text in each.first],
                }
                for host, each in self._riskiest
            ],
        }

    def _number(self, finding: Finding, new: list[list[Any]]) -> int:
        """Return the number of a verdict in the page; a new verdict becomes part of this record."""
        verdict, said = finding.verdict, remarks(finding)
        record = [
            line(verdict.expected, 1000),
            line(verdict.actual, 1000),
            [
                [line(each.kind), line(each.name), line(each.detail)]
                for each in verdict.offenders[:_OFFENDERS_SHOWN]
            ],
            [*said, *(line(each, 1000) for each in verdict.evidence[:_EVIDENCE_SHOWN])],
            verdict.checked,
            len(verdict.offenders),
            len(said) + len(verdict.evidence),
        ]
        key = hashlib.blake2b(compact(record).encode(), digest_size=12).digest()
        number = self._verdicts.get(key)
        if number is None:
            number = self._written
            self._written += 1
            new.append(record)
            if len(self._verdicts) < _REMEMBERED:
                self._verdicts[key] = number
        return number

    def _catalogue(self) -> dict[str, Any]:
        """Return the data that the script needs besides the hosts; its labels come from this module."""
        sections = list(self._summary.sections)
        return {
            "statuses": [[_CODES[status], status.value, WORDS[status]] for status in ORDER],
            "severities": [severity.value for severity in SEVERITIES],
            "sections": [[name, section_title(name, self.run.benchmark)] for name in sections],
            "frameworks": FRAMEWORKS,
            "sources": SOURCES,
            "moves": [[_key(each), LABELS[each]] for each in CHANGES] if self._since else [],
            "controls": [
                _control(control, sections.index(control.section_in(self.run.benchmark)), self.run.benchmark)
                for control in self._controls.values()
            ],
        }

    def _sections(self) -> Iterator[dict[str, Any]]:
        for name, counts in self._summary.sections.items():
            yield {
                "key": name,
                "title": section_title(name, self.run.benchmark),
                "counts": plain(counts),
                "total": counts.total(),
            }

    def _lead(self) -> str:
        """Return the result in one sentence."""
        summary = self._summary
        if not summary.hosts:
            return "No host was assessed."
        open_ = len(summary.cases(Status.FAIL))
        parts = [f"{open_} of {len(self._controls)} controls fail"]
        if summary.hosts != 1:
            parts[0] += f" on at least one of {summary.hosts} hosts"
        if gone := len(summary.unreachable):
            parts.append(f"{gone} {'host' if gone == 1 else 'hosts'} could not be reached")
        if undecided := len(summary.cases(Status.ERROR)):
            parts.append(f"{undecided} {'control' if undecided == 1 else 'controls'} could not be evaluated")
        return f"{'; '.join(parts)}."

    def _moves(self, assessment: Assessment, new: list[list[Any]]) -> list[tuple[int, int, str, int]]:
        """Return the changes of a host: control, kind of change, status and verdict before."""
        if not self._since:
            return []
        places = {slug: place for place, slug in enumerate(self._controls)}
        return [
            (
                places[change.slug],
                CHANGES.index(change.kind),
                _CODES[change.before.status],
                self._number(change.before, new),
            )
            for change in self._since.add(assessment)
        ]

    def _point(self) -> Point:
        """Return this run as the last point of the trend."""
        summary = self._summary
        return Point(self.run.run_id, self.run.ended, summary.hosts, len(summary.unreachable), summary.counts)


def _since(since: Since, hosts: int) -> dict[str, Any]:
    """Return the changes since the previous run, for the overview."""
    changes = list(since.changes())
    return {
        "ended": utc(since.previous.ended),
        "compared": since.compared,
        "moves": [
            {"key": _key(each), "words": LABELS[each], "number": number} for each, number in since.totals()
        ],
        "changes": [_change(each, hosts) for each in changes[:_CHANGES_SHOWN]],
        "more": max(0, len(changes) - _CHANGES_SHOWN),
        "new": _names(since.new),
        "gone": _names(since.gone),
        "not_compared": _names([host for host, _ in since.not_compared]),
    }


def _key(kind: ChangeKind) -> str:
    """Return the name of a kind of change in the page's addresses and style sheet."""
    return kind.name.lower()


def _change(change: ControlChange, hosts: int) -> dict[str, Any]:
    where = change.host if change.hosts == 1 else f"{change.hosts} hosts"
    return {
        "key": _key(change.kind),
        "id": change.id,
        "slug": change.control.slug,
        "title": change.control.title,
        "before": WORDS[change.before.status],
        "after": WORDS[change.after.status],
        "status": change.after.status.value,
        "where": where if hosts > 1 else "",
        "actual": line(change.after.actual, 200) if change.hosts == 1 else "",
    }


def _names(names: list[str]) -> str:
    """Return ``3 hosts: a, b, c``; an empty text for no host."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    number = "1 host" if len(names) == 1 else f"{len(names)} hosts"
    return f"{number}: {', '.join(names[:_NAMES_SHOWN])}{more}"


def _control(control: Control, section: int, benchmark: str) -> dict[str, Any]:
    place, role = control.benchmarks.get(benchmark), control.remediation
    return {
        "slug": control.slug,
        "id": control.id_in(benchmark),
        "section": section,
        "level": place.level if place else 0,
        "title": control.title,
        "severity": control.severity.value,
        "rationale": control.rationale,
        "decision": control.decision,
        "fix": control.fix,
        "role": [role.role, role.variable, IMPACTS[role.impact]] if role else None,
        "mappings": [[each.framework, each.source, each.requirements] for each in control.mappings],
    }


def _data(value: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    return compact(value).replace("<", "\\u003c")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return (_PAGE / "page.css").read_text(encoding="utf-8")


@cache
def _script() -> str:
    """Return the page's script: one text of several files, so that the policy names one digest."""
    return "".join((_PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS)


def _policy() -> str:
    """Return the page's policy: allow this style sheet and this script, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_digest(_script())}",
            f"style-src {_digest(_style())}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
