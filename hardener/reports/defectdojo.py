"""The DefectDojo report (Generic Findings Import): one finding for each open control of a host.

These are the failing and waived controls, and those that could not be evaluated: DefectDojo closes findings
that a new import lacks, and a control of an unreachable host is not fixed. An unreachable host has as many
findings as it has controls. The title names the host, since DefectDojo identifies findings by it. A waived
control is imported as an accepted risk. DefectDojo renders text as Markdown, so untrusted text is written as
code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.comparison.previous_runs import PreviousRuns
from hardener.decisions.remarks import remarks
from hardener.model import NOT_HELD, Assessment, Control, Finding, Status
from hardener.reports.interface import Report
from hardener.reports.lib.groups import tags
from hardener.reports.lib.identity import HostKeys, identifier
from hardener.reports.lib.serial import compact
from hardener.reports.lib.text import code, offender, share
from hardener.run import RunInfo
from hardener.text import first, line, shorten

_OFFENDERS_SHOWN = 50
_EVIDENCE_SHOWN = 20
_TITLE = 500  # characters; the limit of the column is 511

# Host names that DefectDojo accepts for an endpoint; other names are in the title only.
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_LONGEST_NAME = 253  # characters, the limit of DNS


class DefectDojoReport(Report):
    """JSON for DefectDojo."""

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        super().__init__(run, previous)
        self._hosts = HostKeys()
        self._findings = 0

    def begin(self) -> str:
        """Return the metadata of the test that DefectDojo creates."""
        head = {
            "name": f"hardener {self.run.benchmark}",
            "type": "hardener",
            "version": self.run.tool_version,
            **({"description": f"Filtered: {self.run.filtered}"} if self.run.filtered else {}),
        }
        return f'{compact(head)[:-1]},"findings":['

    def host(self, assessment: Assessment) -> str:
        """Return the findings of one host."""
        text = ""
        for finding in self._findings_of(assessment, self._hosts.key(assessment.host)):
            text += f"{',' if self._findings else ''}\n{compact(finding)}"
            self._findings += 1
        return text

    def end(self) -> Iterator[str]:
        """Return the end of the list of findings."""
        yield "\n]}\n"

    def _findings_of(self, assessment: Assessment, key: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        name = " #".join(key)
        for finding in assessment.findings:
            if finding.status in NOT_HELD:
                control, waived = finding.control, finding.status is Status.WAIVED
                place = control.id_in(assessment.benchmark)
                yield self._common_fields(assessment) | {
                    "title": shorten(line(f"{place} {control.title}: {name}"), _TITLE - 40),
                    "severity": finding.severity.capitalize(),
                    "description": _description(finding, assessment),
                    "impact": control.rationale,
                    "mitigation": _mitigation(control),
                    "references": "\n".join(_references(control)),
                    "active": not waived,
                    "risk_accepted": waived,
                    "under_review": finding.status is Status.ERROR,
                    "unique_id_from_tool": identifier("finding", *key, control.slug),
                    "vuln_id_from_tool": control.slug,
                    "nb_occurences": max(1, len(finding.verdict.offenders)),
                    "tags": ["hardener", assessment.benchmark, control.section, *tags(assessment)],
                }

    def _common_fields(self, assessment: Assessment) -> dict[str, Any]:
        common: dict[str, Any] = {
            "date": self.run.ended.astimezone(UTC).date().isoformat(),
            "static_finding": False,
            "dynamic_finding": True,
        }
        if len(assessment.host) <= _LONGEST_NAME and _HOSTNAME.fullmatch(assessment.host):
            common["endpoints"] = [{"host": assessment.host}]
        return common


def _description(finding: Finding, assessment: Assessment) -> str:
    verdict = finding.verdict
    undecided = finding.status is Status.ERROR
    lines = [
        f"Host: {code(assessment.host)}",
        *(f"Decided: {code(each, 1000)}" for each in remarks(finding)),
        *(["Not evaluated: whether the control holds is not known."] if undecided else []),
        *([f"Change not begun: {code(assessment.not_begun, 1000)}"] if assessment.not_begun else []),
        *([f"Change failed: {code(assessment.change_failed, 1000)}"] if assessment.change_failed else []),
        f"Section: {finding.control.section_in(assessment.benchmark)}",
        f"Expected: {code(verdict.expected, 2000)}",
        f"Found: {code(verdict.actual, 2000)}",
    ]
    text = "\n\n".join(lines)
    if verdict.offenders:
        text += f"\n\nOffenders ({share(verdict) or len(verdict.offenders)}):\n"
        text += "".join(
            f"\n- {each}"
            for each in first([code(offender(each)) for each in verdict.offenders], _OFFENDERS_SHOWN)
        )
    if verdict.evidence:
        text += "\n\nEvidence:\n"
        text += "".join(
            f"\n- {each}" for each in first([code(each, 1000) for each in verdict.evidence], _EVIDENCE_SHOWN)
        )
    return text


def _mitigation(control: Control) -> str:
    role = control.remediation
    if not role:
        return control.fix
    return (
        f"{control.fix}\n\nThe role `{role.role}` of hardener does it, decided by `{role.variable}`"
        f" (impact: {IMPACTS[role.impact]})."
    )


def _references(control: Control) -> Iterator[str]:
    for mapping in control.mappings:
        framework = FRAMEWORKS.get(mapping.framework, mapping.framework)
        source = SOURCES.get(mapping.source, mapping.source)
        yield f"- {framework}: {', '.join(mapping.requirements)} (mapped by {source})"
