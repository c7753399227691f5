"""Decide what to change: the roles that remediate what fails on a host, in order, and their cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hardener.model import Assessment, Finding, Impact

_CHEAPEST_FIRST = tuple(Impact)  # as the model lists them


@dataclass(frozen=True, slots=True)
class Step:
    """One role to run on a host."""

    role: str
    findings: tuple[Finding, ...]  # what it remediates, in benchmark order

    @property
    def impact(self) -> Impact:
        """The worst that remediating any of its controls can cost."""
        return max(_impacts(self.findings), key=_CHEAPEST_FIRST.index)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one host, cheapest first; none where nothing fails that a role remediates."""

    host: str
    steps: tuple[Step, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the roles, in order."""
        return tuple(step.role for step in self.steps)


def plan(assessment: Assessment) -> Plan:
    """Plan the remediation of one host."""
    by_role: dict[str, list[Finding]] = {}
    for finding in assessment.failing():
        if remediation := finding.control.remediation:
            by_role.setdefault(remediation.role, []).append(finding)
    steps = [Step(role, tuple(findings)) for role, findings in by_role.items()]
    # Stable: of equal impact, the one comes first whose control does.
    return Plan(assessment.host, tuple(sorted(steps, key=lambda step: _CHEAPEST_FIRST.index(step.impact))))


def _impacts(findings: tuple[Finding, ...]) -> Iterator[Impact]:
    for finding in findings:
        if remediation := finding.control.remediation:
            yield remediation.impact
