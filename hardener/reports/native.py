"""The native report: everything an assessment knows, as JSON; its schema is ``assessment.schema.json``.

The text is pure ASCII with one finding a line: inert in a terminal, friendly to ``grep`` and ``diff``, and
the same bytes for the same input.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hardener.model import Assessment, Control, Finding, Status
from hardener.reports.interface import Report, RunInfo, utc
from hardener.text import scalar

SCHEMA = "hardener/assessment/1"


class NativeReport(Report):
    """JSON for programs."""

    def __init__(self, run: RunInfo) -> None:
        super().__init__(run)
        self._hosts = 0
        self._unreachable = 0
        self._counts: Counter[Status] = Counter()

    def begin(self) -> str:
        """Schema and run."""
        run = {
            "id": scalar(self.run.run_id),
            "tool_version": self.run.tool_version,
            "benchmark": self.run.benchmark,
            "catalogue_digest": self.run.catalogue_digest,
            "ansible_version": self.run.ansible_version or None,
            "started": utc(self.run.started),
            "ended": utc(self.run.ended),
        }
        return f'{{"schema": {_json(SCHEMA)},\n"run": {_json(run)},\n"hosts": ['

    def host(self, assessment: Assessment) -> str:
        """One host with all its findings."""
        comma = "," if self._hosts else ""
        counts = assessment.counts()
        self._hosts += 1
        self._unreachable += bool(assessment.unreachable)
        self._counts.update(counts)
        head = {
            "host": scalar(assessment.host),
            "benchmark": assessment.benchmark,
            "collected_at": scalar(assessment.collected_at) or None,
            "unreachable": scalar(assessment.unreachable) or None,
            "facts": {scalar(key): scalar(value) for key, value in sorted(assessment.facts.items())},
            "counts": _counts(counts),
        }
        findings = ",\n".join(_json(_finding(each, assessment.benchmark)) for each in assessment.findings)
        return f'{comma}\n{_json(head)[:-1]}, "findings": [\n{findings}\n]}}'

    def end(self) -> Iterator[str]:
        """The totals, so that a reader can see that nothing is missing."""
        summary = {
            "hosts": self._hosts,
            "unreachable": self._unreachable,
            "findings": self._counts.total(),
            "counts": _counts(self._counts),
        }
        yield f'\n],\n"summary": {_json(summary)}}}\n'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _counts(counts: Mapping[Status, int]) -> dict[str, int]:
    return {status.value: counts.get(status, 0) for status in Status}


def _finding(finding: Finding, benchmark: str) -> dict[str, Any]:
    control, verdict = finding.control, finding.verdict
    place = control.benchmarks.get(benchmark)
    return {
        "slug": control.slug,
        "id": place.id if place else None,
        "level": place.level if place else None,
        "section": control.section,
        "title": control.title,
        "severity": control.severity.value,
        "status": verdict.status.value,
        "expected": scalar(verdict.expected),
        "actual": scalar(verdict.actual),
        "offenders": [
            {"kind": each.kind, "name": scalar(each.name), "detail": scalar(each.detail)}
            for each in verdict.offenders
        ],
        "evidence": [scalar(each) for each in verdict.evidence],
        "checked": verdict.checked,
        "remediation": _remediation(control),
        "mappings": [
            {
                "framework": mapping.framework,
                "requirements": list(mapping.requirements),
                "source": mapping.source,
            }
            for mapping in control.mappings
        ],
    }


def _remediation(control: Control) -> dict[str, Any]:
    """What to do by hand, and the role that does it where there is one."""
    role = control.remediation
    return {
        "by_hand": control.fix,
        "role": role.role if role else None,
        "variable": role.variable if role else None,
        "impact": role.impact.value if role else None,
    }
