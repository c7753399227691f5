"""Build the results of commands as JSON documents for programs; ``documents.schema.json`` describes each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from hardener import catalogue
from hardener.comparison import Drift
from hardener.comparison.document import DocumentLimits, drift_document
from hardener.decisions.document import Problem
from hardener.history import SelectedResults, StoredRun
from hardener.model import Assessment, Attestation, Control, Severity, Status, Waiver
from hardener.result_filter import ResultFilter
from hardener.schedule import Scheduled
from hardener.summary import by_name, compliance
from hardener.text import scalar, utc

_SEVERITIES = tuple(Severity)


def runs_document(runs: Iterable[StoredRun], baselines: Collection[int]) -> dict[str, Any]:
    """Return the runs of ``hardener runs list``.

    Args:
        runs: the runs, newest first.
        baselines: numbers of the runs that are the baseline of their inventory.
    """
    return {
        "schema": "hardener/runs/1",
        "runs": [_run(run) | {"baseline": run.number in baselines} for run in runs],
    }


class RunDocument:
    """The result of ``hardener show``, filled host by host.

    Args:
        results: the chosen results of the run.
    """

    def __init__(self, results: SelectedResults) -> None:
        self._results = results
        self._controls: dict[tuple[str, Status], dict[str, Any]] = {}
        self._unreachable: list[dict[str, str]] = []
        self._not_begun: list[dict[str, str]] = []
        self._change_failed: list[dict[str, str]] = []

    def add(self, assessment: Assessment) -> None:
        """Add the chosen results of one host."""
        host = scalar(assessment.host)
        if assessment.unreachable:
            self._unreachable.append({"host": host, "reason": scalar(assessment.unreachable)})
        if assessment.not_begun:
            self._not_begun.append({"host": host, "reason": scalar(assessment.not_begun)})
        if assessment.change_failed:
            self._change_failed.append({"host": host, "reason": scalar(assessment.change_failed)})
        for finding in assessment.findings:
            control = finding.control
            entry = self._controls.setdefault(
                (control.slug, finding.status),
                {
                    "slug": control.slug,
                    "id": control.id_in(assessment.benchmark),
                    "section": control.section,
                    "title": control.title,
                    "status": finding.status.value,
                    "severity": finding.severity.value,
                    "hosts": [],
                },
            )
            worst = min(Severity(entry["severity"]), finding.severity, key=_SEVERITIES.index)
            entry["severity"] = worst.value
            entry["hosts"].append(host)

    def document(self) -> dict[str, Any]:
        """Return the document, once every host is added."""
        results = self._results
        controls = sorted(
            self._controls.values(),
            key=lambda each: (catalogue.order(each["id"]), tuple(Status).index(each["status"])),
        )
        counts = {
            status: sum(len(each["hosts"]) for each in controls if each["status"] == status.value)
            for status in Status
        }
        return {
            "schema": "hardener/show/1",
            "run": _run(results.run),
            "filter": str(results.filter) or None,
            "chosen": {
                "hosts": results.chosen_hosts,
                "results": results.chosen_results,
                "counts": by_name(counts),
                "hosts_without_groups": results.without_groups,
            },
            "controls": controls,
            "unreachable": self._unreachable,
            "not_begun": self._not_begun,
            "change_failed": self._change_failed,
        }


def diff_document(before: StoredRun, after: StoredRun, drift: Drift, chosen: ResultFilter) -> dict[str, Any]:
    """Return the changes of ``hardener diff``.

    Args:
        before: the earlier run.
        after: the later one.
        drift: the changes.
        chosen: the filter of hosts and controls.
    """
    return {
        "schema": "hardener/diff/1",
        "before": _run(before),
        "after": _run(after),
        "filter": str(chosen) or None,
        **drift_document(drift, DocumentLimits()),
    }


def trend_document(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Return the series of ``hardener runs trend``, oldest run first."""
    return {
        "schema": "hardener/trend/1",
        "runs": [
            _run(run)
            | {
                "sections": [
                    {"section": name, "counts": by_name(counts), "compliance": compliance(counts)}
                    for name, counts in run.sections.items()
                ]
            }
            for run in runs
        ],
    }


def controls_document(controls: Iterable[Control], benchmark: str) -> dict[str, Any]:
    """Return the controls of ``hardener controls``."""
    return {
        "schema": "hardener/controls/1",
        "benchmark": benchmark,
        "controls": [_control(control, benchmark) for control in controls],
    }


def waivers_document(
    file: str,
    kind: str,
    entries: Iterable[Waiver | Attestation],
    problems: Iterable[Problem],
    *,
    today: date,
) -> dict[str, Any]:
    """Return the result of ``hardener waivers lint``.

    Args:
        file: the file.
        kind: ``waivers`` or ``attestations``; empty if the file cannot be read.
        entries: the entries of the file; none if it cannot be read.
        problems: the errors of the file.
        today: the day for which they are judged, in UTC.
    """
    return {
        "schema": "hardener/waivers/1",
        "file": scalar(file),
        "kind": kind or None,
        "today": today.isoformat(),
        "entries": [_decision(each, today) for each in entries],
        "problems": [
            {"line": each.line or None, "key": scalar(each.key) or None, "message": scalar(each.message)}
            for each in problems
        ],
    }


def schedule_document(schedules: Iterable[Scheduled]) -> dict[str, Any]:
    """Return the schedules of ``hardener schedule status``; times are systemd's texts."""
    return {
        "schema": "hardener/schedule/1",
        "schedules": [
            {
                "name": scalar(each.name),
                "active": each.active,
                "running": each.running,
                "next": each.next or None,
                "last": each.last or None,
                "ended": each.ended or None,
                "result": scalar(each.result) if each.ended else None,
                "exit_code": each.code if each.ended else None,
            }
            for each in schedules
        ],
    }


def _run(run: StoredRun) -> dict[str, Any]:
    record, info, counts = run.record, run.info, run.counts()
    return {
        "id": scalar(run.id),
        "runs": [scalar(each.id) for each in run.parts],
        "verb": scalar(record.verb),
        "started": utc(info.started),
        "ended": utc(info.ended),
        "exit_code": int(record.exit_code),
        "inventory": scalar(record.inventory),
        "limit": scalar(record.limit) or None,
        "benchmark": scalar(info.benchmark),
        "level": record.level,
        "only": [scalar(each) for each in record.only],
        "tool_version": scalar(info.tool_version),
        "hosts": run.hosts,
        "unreachable": run.unreachable,
        "not_begun": record.not_begun,
        "change_failed": record.change_failed,
        "counts": by_name(counts),
        "compliance": compliance(counts),
    }


def _control(control: Control, benchmark: str) -> dict[str, Any]:
    place, role = control.benchmarks[benchmark], control.remediation
    return {
        "id": place.id,
        "slug": control.slug,
        "level": place.level,
        "assessment": place.assessment,
        "section": control.section,
        "severity": control.severity.value,
        "title": control.title,
        "role": role.role if role else None,
        "variable": role.variable if role else None,
        "impact": role.impact.value if role else None,
    }


def _decision(each: Waiver | Attestation, today: date) -> dict[str, Any]:
    scope = each.scope
    return {
        "id": scalar(each.id),
        "control": each.control,
        "hosts": [scalar(glob) for glob in scope.hosts],
        "groups": [scalar(group) for group in scope.groups],
        "objects": [{"kind": kind, "name": scalar(glob)} for kind, glob in scope.objects],
        "by": scalar(each.owner if isinstance(each, Waiver) else each.attested_by),
        "expires": each.expires.isoformat(),
        "days": (each.expires - today).days,
    }
