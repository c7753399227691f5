"""The OCSF report (1.5.0, Compliance Finding, JSON lines), for SIEMs: an event for each control of each host.

Passing controls are events too, so that the consumer can count the population. The severity of a failing
event is the control's; a passing one is informational.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from hardener.catalogue.words import FRAMEWORKS
from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import remarks
from hardener.model import Assessment, Finding, Severity, Status
from hardener.reports.interface import Report
from hardener.reports.lib.identity import HostKeys, identifier
from hardener.reports.lib.serial import attestations, compact, mappings, waivers
from hardener.run import RunInfo
from hardener.text import scalar

_VERSION = "1.5.0"
_OFFENDERS_SHOWN = 50  # collectors truncate or drop large events
_EVIDENCE_SHOWN = 50
_GROUPS_SHOWN = 50
_TEXT = 2000

_SEVERITY = MappingProxyType(
    {
        Severity.LOW: (2, "Low"),
        Severity.MEDIUM: (3, "Medium"),
        Severity.HIGH: (4, "High"),
        Severity.CRITICAL: (5, "Critical"),
    }
)
_INFORMATIONAL = (1, "Informational")
_COMPLIANCE = MappingProxyType(
    {
        Status.PASS: (1, "Pass"),
        Status.FAIL: (3, "Fail"),
        Status.ERROR: (0, "Unknown"),
        Status.MANUAL: (99, "Manual"),
        Status.NOT_APPLICABLE: (99, "Not Applicable"),
        Status.WAIVED: (99, "Waived"),
    }
)


class OcsfReport(Report):
    """OCSF events for a SIEM."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._hosts = HostKeys()
        self._time = int(run.ended.timestamp() * 1000)
        self._metadata = {
            "version": _VERSION,
            "product": {"name": "hardener", "vendor_name": "hardener", "version": run.tool_version},
            "correlation_uid": scalar(run.run_id),
            "log_name": run.benchmark,
            "log_version": run.catalogue_digest,
        }

    def begin(self) -> str:
        """Return nothing: every line is an event."""
        return ""

    def host(self, assessment: Assessment) -> str:
        """Return the events of one host."""
        key = self._hosts.key(assessment.host)
        device = _device(assessment, key)
        return "".join(
            f"{compact(self._event(finding, assessment, key, device))}\n" for finding in assessment.findings
        )

    def end(self) -> Iterator[str]:
        """Return nothing."""
        yield from ()

    def _event(
        self, finding: Finding, assessment: Assessment, key: tuple[str, ...], device: dict[str, Any]
    ) -> dict[str, Any]:
        control = finding.control
        waived = finding.status is Status.WAIVED
        grave = finding.status is Status.FAIL or waived
        severity_id, severity = _SEVERITY[finding.severity] if grave else _INFORMATIONAL
        metadata = self._metadata | {
            "uid": identifier("ocsf", self.run.run_id, *key, control.slug),
            "event_code": control.slug,
        }
        if assessment.collected_at:
            metadata["original_time"] = scalar(assessment.collected_at, _TEXT)
        said = "; ".join(remarks(finding))
        return {
            "class_uid": 2003,
            "class_name": "Compliance Finding",
            "category_uid": 2,
            "category_name": "Findings",
            "activity_id": 1,
            "activity_name": "Create",
            "type_uid": 200301,
            "type_name": "Compliance Finding: Create",
            "time": self._time,
            "severity_id": severity_id,
            "severity": severity,
            "status_id": 3 if waived else 1,
            "status": "Suppressed" if waived else "New",
            "message": f"{control.id_in(assessment.benchmark)} {control.title}",
            **({"comment": said} if said else {}),
            "metadata": metadata,
            "finding_info": {
                "uid": identifier("finding", *key, control.slug),
                "title": control.title,
                "desc": control.rationale,
                "created_time": self._time,
                "types": [control.section],
            },
            "compliance": _compliance(finding, assessment),
            "remediation": {"desc": control.fix},
            "device": device,
            "resources": [
                {"type": "host", "name": device["name"], "uid": device["uid"]},
                *(
                    {
                        "type": scalar(each.kind, _TEXT),
                        "name": scalar(each.name, _TEXT),
                        "data": {"detail": scalar(each.detail, _TEXT)},
                    }
                    for each in finding.verdict.offenders[:_OFFENDERS_SHOWN]
                ),
            ],
            "evidences": [{"data": _evidence(finding)}],
            "unmapped": {  # OCSF has no fields for these
                "mappings": mappings(control),
                "waivers": waivers(finding),
                "attestations": attestations(finding),
                **self.run.scope,
                **{
                    name: scalar(reason, _TEXT)
                    for name, reason in (
                        ("not_begun", assessment.not_begun),
                        ("change_failed", assessment.change_failed),
                    )
                    if reason
                },
            },
        }


def _device(assessment: Assessment, key: tuple[str, ...]) -> dict[str, Any]:
    name = scalar(assessment.host, _TEXT)
    os = {"name": scalar(assessment.facts.get("os", "unknown"), _TEXT), "type_id": 200, "type": "Linux"}
    groups = assessment.groups[:_GROUPS_SHOWN]
    if kernel := assessment.facts.get("kernel"):
        os["kernel_release"] = scalar(kernel, _TEXT)
    return {
        "type_id": 1,
        "type": "Server",
        "name": name,
        "hostname": name,
        "uid": identifier("host", *key),
        "os": os,
        **({"groups": [{"name": scalar(each, _TEXT)} for each in groups]} if groups else {}),
    }


def _compliance(finding: Finding, assessment: Assessment) -> dict[str, Any]:
    control = finding.control
    status_id, status = _COMPLIANCE[finding.status]
    severity_id, severity = _SEVERITY[finding.severity]
    return {
        "standards": [
            assessment.benchmark,
            *dict.fromkeys(mapping.framework for mapping in control.mappings),
        ],
        "control": control.id_in(assessment.benchmark),
        "desc": control.title,
        "requirements": [
            f"{FRAMEWORKS.get(mapping.framework, mapping.framework)} {requirement}"
            for mapping in control.mappings
            for requirement in mapping.requirements
        ],
        "status_id": status_id,
        "status": status,
        "status_code": finding.status.value,
        "status_detail": scalar(finding.verdict.actual, _TEXT),
        "checks": [
            {
                "uid": control.slug,
                "name": control.title,
                "desc": control.decision,
                "severity_id": severity_id,
                "severity": severity,
                "status_id": status_id,
                "status": status,
            }
        ],
    }


def _evidence(finding: Finding) -> dict[str, Any]:
    verdict = finding.verdict
    return {
        "expected": scalar(verdict.expected, _TEXT),
        "actual": scalar(verdict.actual, _TEXT),
        "checked": verdict.checked,
        "offenders": len(verdict.offenders),
        "facts": [scalar(each, _TEXT) for each in verdict.evidence[:_EVIDENCE_SHOWN]],
    }
