"""Decide what to change: what fails on a host, what remediates it, and what that costs. Pure.

``plan`` tells what an assessment lets expect. What becomes of it on the host itself, and at what cost, only
the host knows: ``outlook`` joins the plan with what its transaction answered, in check mode or afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.contract import (
    CHANGE,
    HELD,
    REFUSED,
    UNCHANGED,
)

from hardener.model import Assessment, Finding, Impact, Standing

_CHEAPEST_FIRST = tuple(Impact)  # as the model lists them


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of a role: the variable, and the failing controls that it remediates."""

    role: str
    variable: str
    findings: tuple[Finding, ...]  # in benchmark order

    @property
    def impact(self) -> Impact:
        """The worst that remediating any of its controls can cost."""
        return max(_impacts(self.findings), key=_CHEAPEST_FIRST.index)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A step that is not taken, since the same variable would repair what is waived."""

    step: Step
    waived: tuple[Finding, ...]  # whole, or some of their objects

    @property
    def reason(self) -> str:
        """What it would repair, and whose decision that is against."""
        waived = ", ".join(
            f"{finding.control.slug} ({', '.join(_in_force(finding))})" for finding in self.waived
        )
        return f"it would repair what is waived: {waived}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one host, cheapest first; none where nothing fails that a role remediates."""

    host: str
    steps: tuple[Step, ...]
    beyond: tuple[Finding, ...] = ()  # failing, and no role remediates it
    withheld: tuple[Withheld, ...] = ()
    waived: frozenset[tuple[str, str]] = frozenset()  # role and variable that would repair what is waived

    @property
    def variables(self) -> dict[str, list[str]]:
        """The variables to decide, by role, in order: what the playbook wants to know."""
        by_role: dict[str, list[str]] = {}
        for step in self.steps:
            by_role.setdefault(step.role, []).append(step.variable)
        return by_role


class Fate(StrEnum):
    """What becomes of a step on its host."""

    CHANGE = "change"  # it is applied, or would be
    HELD = "held"  # it costs more than is allowed
    BLOCKED = "blocked"  # it is not possible on this host
    UNCHANGED = "unchanged"  # there is nothing to change, though the control fails
    UNKNOWN = "unknown"  # the host gave no answer


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and what becomes of it on its host."""

    step: Step
    fate: Fate
    impact: Impact
    reason: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is done on one host: each step's fate, every change, and what happens once for all of them."""

    plan: Plan
    decisions: tuple[Decision, ...]
    changes: tuple[Mapping[str, Any], ...] = ()  # path, what, and the diff as "prepared"
    activations: tuple[Mapping[str, Any], ...] = ()  # action, why, and whom it stops
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()  # what a role wants beside the steps, and is held
    allow: str = ""  # the worst that was allowed
    digest: str = ""  # name of exactly this plan on exactly this host
    failure: str = ""  # why the host gave no answer

    @property
    def host(self) -> str:
        """Name of the host."""
        return self.plan.host


_FATES = {CHANGE: Fate.CHANGE, HELD: Fate.HELD, REFUSED: Fate.BLOCKED, UNCHANGED: Fate.UNCHANGED}


def plan(assessment: Assessment) -> Plan:
    """Plan the remediation of one host. A waiver is a decision: what is waived is left as it is."""
    by_variable: dict[tuple[str, str], list[Finding]] = {}
    waived: dict[tuple[str, str], list[Finding]] = {}
    beyond = []
    for finding in assessment.findings:
        if finding.waived and (remediation := finding.control.remediation):
            waived.setdefault((remediation.role, remediation.variable), []).append(finding)
    for finding in assessment.failing():
        if remediation := finding.control.remediation:
            by_variable.setdefault((remediation.role, remediation.variable), []).append(finding)
        else:
            beyond.append(finding)
    steps = [Step(role, variable, tuple(findings)) for (role, variable), findings in by_variable.items()]
    # Stable: of equal impact, the one comes first whose control does.
    steps.sort(key=lambda step: _CHEAPEST_FIRST.index(step.impact))
    withheld = tuple(
        Withheld(step, tuple(waived[step.role, step.variable]))
        for step in steps
        if (step.role, step.variable) in waived
    )
    left = tuple(step for step in steps if (step.role, step.variable) not in waived)
    return Plan(assessment.host, left, tuple(beyond), withheld, frozenset(waived))


def outlook(plan: Plan, answer: Mapping[str, Any], *, failure: str = "") -> Outlook:
    """Join a plan with what the host's transaction answered.

    Args:
        plan: what was asked for.
        answer: result of the action ``converge``; empty where there is none.
        failure: why there is none.
    """
    documents = {str(document["name"]): document for document in answer.get("documents", ())}
    diffs = {str(each["path"]): str(each.get("prepared", "")) for each in answer.get("diff") or ()}
    return Outlook(
        plan,
        tuple(_decision(step, documents) for step in plan.steps),
        changes=tuple(
            {**change, "diff": diffs.get(str(change["path"]), "")} for change in answer.get("changes", ())
        ),
        activations=tuple(answer.get("activations", ())),
        notes=(*answer.get("notes", ()), *answer.get("pending", ())),
        left=tuple(_left(plan, documents)),
        allow=str(answer.get("allow", "")),
        digest=str(answer.get("plan", "")),
        failure=failure or str(answer.get("reason", "")) if not documents else "",
    )


def _decision(step: Step, documents: Mapping[str, Mapping[str, Any]]) -> Decision:
    # A role that can do nothing on a host answers with one document of its own name.
    document = documents.get(step.variable) or documents.get(step.role)
    if document is None:
        return Decision(step, Fate.UNKNOWN, step.impact)
    fate = _FATES[document["state"]]
    return Decision(
        step,
        fate,
        step.impact if fate is Fate.BLOCKED else Impact(document["impact"]),
        str(document["reason"]),
        tuple(map(str, document["paths"])),
    )


def _in_force(finding: Finding) -> Iterator[str]:
    return (each.waiver.id for each in finding.waivers if each.standing is Standing.IN_FORCE)


def _left(plan: Plan, documents: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    named = {name for step in plan.steps for name in (step.variable, step.role)}
    for name, document in documents.items():
        if name not in named and document["state"] == HELD:
            yield f"held ({document['impact']}): {name}: {document['reason']}"


def _impacts(findings: Sequence[Finding]) -> Iterator[Impact]:
    for finding in findings:
        if remediation := finding.control.remediation:
            yield remediation.impact
