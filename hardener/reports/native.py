"""The JSON report with all data of the assessments; its schema is ``assessment.schema.json``.

The text is ASCII with one finding on each line: safe in a terminal, suited for ``grep`` and ``diff``, and the
same bytes for the same input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import due
from hardener.model import Assessment, Control, Finding, Status
from hardener.reports.interface import Report
from hardener.reports.lib.serial import attestations, compact, mappings, offenders, spaced, waivers
from hardener.run import RunInfo
from hardener.summary import by_name
from hardener.text import scalar, utc

SCHEMA = "hardener/assessment/1"


class NativeReport(Report):
    """JSON for programs."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._totals = _Totals()

    def begin(self) -> str:
        """Return the schema and the metadata of the run."""
        return f'{{"schema": {spaced(SCHEMA)},\n"run": {spaced(_run(self.run))},\n"hosts": ['

    def host(self, assessment: Assessment) -> str:
        """Return one host with all its findings."""
        comma = "," if self._totals.hosts else ""
        self._totals.add(assessment)
        findings = ",\n".join(spaced(_finding(each, assessment.benchmark)) for each in assessment.findings)
        return f'{comma}\n{spaced(_host(assessment))[:-1]}, "findings": [\n{findings}\n]}}'

    def end(self) -> Iterator[str]:
        """Return the totals, by which a reader can detect missing data."""
        yield f'\n],\n"summary": {spaced(self._totals.summary())}}}\n'


class LinesReport(Report):
    """The same data as JSON lines: the run, then each host, then the totals; for streaming readers.

    A line has one key: ``run``, ``host`` or ``summary``, each as the schema describes it.
    """

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._totals = _Totals()

    def begin(self) -> str:
        """Return the line of the run."""
        return f"{compact({'schema': SCHEMA, 'run': _run(self.run)})}\n"

    def host(self, assessment: Assessment) -> str:
        """Return one host with all its findings."""
        self._totals.add(assessment)
        findings = [_finding(each, assessment.benchmark) for each in assessment.findings]
        return f"{compact({'host': _host(assessment) | {'findings': findings}})}\n"

    def end(self) -> Iterator[str]:
        """Return the line of totals; a file without it is truncated."""
        yield f"{compact({'summary': self._totals.summary()})}\n"


class _Totals:
    """Counts findings while the hosts are written."""

    def __init__(self) -> None:
        self.hosts = 0
        self._unreachable = 0
        self._not_begun = self._change_failed = 0
        self._counts: Counter[Status] = Counter()

    def add(self, assessment: Assessment) -> None:
        self.hosts += 1
        self._unreachable += bool(assessment.unreachable)
        self._not_begun += bool(assessment.not_begun)
        self._change_failed += bool(assessment.change_failed)
        self._counts.update(assessment.counts())

    def summary(self) -> dict[str, Any]:
        return {
            "hosts": self.hosts,
            "unreachable": self._unreachable,
            **({"not_begun": self._not_begun} if self._not_begun else {}),
            **({"change_failed": self._change_failed} if self._change_failed else {}),
            "findings": self._counts.total(),
            "counts": by_name(self._counts),
        }


def _run(run: RunInfo) -> dict[str, Any]:
    return {
        "id": scalar(run.run_id),
        "tool_version": run.tool_version,
        "benchmark": run.benchmark,
        "catalogue_digest": run.catalogue_digest,
        "ansible_version": run.ansible_version or None,
        "started": utc(run.started),
        "ended": utc(run.ended),
        "decisions": _decisions(run),
        **run.scope,
    }


def _decisions(run: RunInfo) -> dict[str, Any] | None:
    """Return number and digest of waivers and attestations, and those that have expired or expire soon."""
    if not run.decisions:
        return None
    digests = run.decisions.digests
    return {
        "today": run.decisions.today.isoformat(),
        "waivers": len(run.decisions.waivers),
        "waivers_digest": digests.get("waivers"),
        "attestations": len(run.decisions.attestations),
        "attestations_digest": digests.get("attestations"),
        "due": [
            {
                "kind": each.kind,
                "id": each.decision.id,
                "slug": each.decision.control,
                "expires": each.decision.expires.isoformat(),
            }
            for each in due(run.decisions)
        ],
    }


def _host(assessment: Assessment) -> dict[str, Any]:
    """Return a host without its findings."""
    return {
        "host": scalar(assessment.host),
        "groups": [scalar(each) for each in assessment.groups],
        "benchmark": assessment.benchmark,
        "collected_at": scalar(assessment.collected_at) or None,
        "unreachable": scalar(assessment.unreachable) or None,
        **({"not_begun": scalar(assessment.not_begun)} if assessment.not_begun else {}),
        **({"change_failed": scalar(assessment.change_failed)} if assessment.change_failed else {}),
        "facts": {scalar(key): scalar(value) for key, value in sorted(assessment.facts.items())},
        "counts": by_name(assessment.counts()),
    }


def _finding(finding: Finding, benchmark: str) -> dict[str, Any]:
    control, verdict = finding.control, finding.verdict
    place = control.benchmarks.get(benchmark)
    return {
        "slug": control.slug,
        "id": place.id if place else None,
        "level": place.level if place else None,
        "section": control.section,
        "title": control.title,
        "severity": finding.severity.value,
        "status": verdict.status.value,
        "expected": scalar(verdict.expected),
        "actual": scalar(verdict.actual),
        "offenders": offenders(verdict.offenders),
        "evidence": [scalar(each) for each in verdict.evidence],
        "checked": verdict.checked,
        "waivers": waivers(finding),
        "attestations": attestations(finding),
        "remediation": _remediation(control),
        "mappings": mappings(control),
    }


def _remediation(control: Control) -> dict[str, Any]:
    """Return the manual fix, and the role that remediates the control if there is one."""
    role = control.remediation
    return {
        "by_hand": control.fix,
        "role": role.role if role else None,
        "variable": role.variable if role else None,
        "impact": role.impact.value if role else None,
    }
