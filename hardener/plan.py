"""Plan the remediation of a host: the roles that remediate failing controls, and the impact. Pure.

``plan`` predicts from an assessment. The host itself decides which changes are possible and their impact:
``outlook`` joins the plan with the answer of the host's transaction, in check mode or after it was applied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ansible_collections.hardener.docker.plugins.module_utils.contract import (
    CHANGE,
    HELD,
    REFUSED,
    UNCHANGED,
    WISH_APPLIED,
)

from hardener.model import AppliedWish, Assessment, Control, Finding, Impact, Standing

_CHEAPEST_FIRST = tuple(Impact)  # in the order of the model


@dataclass(frozen=True, slots=True)
class Step:
    """One variable of a role, and the failing controls that it remediates."""

    role: str
    variable: str
    findings: tuple[Finding, ...]  # in benchmark order

    @property
    def impact(self) -> Impact:
        """Return the greatest impact of the remediation of its controls."""
        return max(_impacts(self.findings), key=_CHEAPEST_FIRST.index)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A step that is omitted because the same variable would also remediate a waived control."""

    step: Step
    waived: tuple[Finding, ...]  # waived completely or for some of their objects

    @property
    def reason(self) -> str:
        """Describe the waived controls, with the ids of their waivers."""
        waived = ", ".join(
            f"{finding.control.slug} ({', '.join(_in_force(finding))})" for finding in self.waived
        )
        return f"it would also remediate a waived control: {waived}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one host, cheapest first; empty where no role remediates a failing control."""

    host: str
    steps: tuple[Step, ...]
    beyond: tuple[Finding, ...] = ()  # failing controls that no role remediates
    withheld: tuple[Withheld, ...] = ()
    waived: frozenset[tuple[str, str]] = frozenset()  # steps that would also remediate a waived control
    wishes: tuple[str, ...] = ()  # roles of which the site sets variables, or of which wishes were applied
    elsewhere: Mapping[str, AppliedWish] = field(default_factory=dict)  # of other inventories, by document
    only_applied: bool = False  # whether only wishes are carried out that were applied before
    guarded: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # see ``_guarded``
    spared: tuple[str, ...] = ()  # paths whose owner and mode stay, although a step would repair them

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to ask of the host."""
        return not (self.steps or self.wishes)

    @property
    def variables(self) -> dict[str, list[str]]:
        """Return the variables to apply, by role, in the order and form of the playbook's parameter.

        A role with wishes has a key too; the role itself determines the variables of wishes.
        """
        by_role: dict[str, list[str]] = {}
        for step in self.steps:
            by_role.setdefault(step.role, []).append(step.variable)
        for role in self.wishes:
            by_role.setdefault(role, [])
        return by_role


class Fate(StrEnum):
    """The result of a step on its host."""

    CHANGE = "change"  # it is or would be applied
    HELD = "held"  # its impact exceeds what is allowed
    BLOCKED = "blocked"  # it is impossible on this host
    UNCHANGED = "unchanged"  # the variable changes nothing, but the control still fails
    UNKNOWN = "unknown"  # the host gave no answer


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and its result on its host."""

    step: Step
    fate: Fate
    impact: Impact
    reason: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentResult:
    """The result of a document on its host; ``state`` is one of the contract's states."""

    name: str
    state: str
    impact: Impact
    reason: str
    paths: tuple[str, ...]
    wish: str = ""  # the state of the wish of the site; empty if it is none
    variables: tuple[str, ...] = ()  # that the site has set for it; none if it no longer does
    removed: tuple[str, ...] = ()  # that were applied, and that the site no longer sets


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A path that is or would be changed, with the kind of change and the difference as text."""

    path: str
    what: str
    diff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationResult:
    """An activation that is or would be performed; a value that the host does not report is None."""

    name: str
    action: str
    why: tuple[str, ...]
    first: str | None = None
    stops: tuple[str, ...] | None = None  # names of containers, as below
    stay_down: tuple[str, ...] | None = None
    recreates: tuple[str, ...] | None = None
    leaves: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionResult:
    """What a host's transaction did, or would do."""

    documents: tuple[DocumentResult, ...] = ()
    changes: tuple[FileChange, ...] = ()
    activations: tuple[ActivationResult, ...] = ()
    notes: tuple[str, ...] = ()
    allow: str = ""  # the greatest impact that was allowed
    digest: str = ""  # of these changes on this host
    reason: str = ""  # why it did nothing


@dataclass(frozen=True, slots=True)
class WishResult:
    """A wish of the site, and its result on its host; ``state`` is one of the contract's states of a wish.

    ``document`` is applied because of ``variables``, and of ``removed``, which the inventory no longer sets;
    without any, it no longer sets them.
    """

    role: str
    document: str
    variables: tuple[str, ...]
    state: str
    fate: Fate
    impact: Impact
    reason: str = ""
    paths: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the variables that the inventory sets, and those that it no longer sets."""
        removed = self.removed or (() if self.variables else (self.document,))
        return ", ".join((*self.variables, *(f"{each} (no longer set)" for each in removed)))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan does on one host: the result of each step and wish, all changes, and the activations."""

    plan: Plan
    decisions: tuple[Decision, ...]
    result: TransactionResult = TransactionResult()
    left: tuple[str, ...] = ()  # documents that are held beside the steps, and wishes of other inventories
    failure: str = ""  # the reason why the host gave no answer
    wishes: tuple[WishResult, ...] = ()

    @property
    def host(self) -> str:
        """Return the name of the host."""
        return self.plan.host

    @property
    def has_all(self) -> bool:
        """Return whether the host has all wishes, but for held and blocked ones, and remembers them."""
        unknown = (each.state != WISH_APPLIED and each.fate is Fate.UNCHANGED for each in self.wishes)
        without_effect = (each.fate is Fate.CHANGE and each.paths for each in self.wishes)
        return not (self.result.changes or self.failure or any(unknown) or any(without_effect))


_FATES = {CHANGE: Fate.CHANGE, HELD: Fate.HELD, REFUSED: Fate.BLOCKED, UNCHANGED: Fate.UNCHANGED}


def plan(
    assessment: Assessment,
    wishes: Sequence[str] = (),
    *,
    accepted: Collection[str] = (),
    controls: Sequence[Control] = (),
) -> Plan:
    """Plan the remediation of one host. Waived controls are not remediated.

    Args:
        assessment: of the host.
        wishes: the roles with wishes of the site.
        accepted: the slugs of controls that wishes may weaken, or repair although they are waived.
        controls: which no other wishes may weaken; by default those of the assessment.
    """
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
    # The sort is stable: steps of equal impact stay in the order of their controls.
    steps.sort(key=lambda step: _CHEAPEST_FIRST.index(step.impact))
    withheld = tuple(
        Withheld(step, tuple(waived[step.role, step.variable]))
        for step in steps
        if (step.role, step.variable) in waived
    )
    left = tuple(step for step in steps if (step.role, step.variable) not in waived)
    guarded = _guarded(assessment, accepted, controls) if wishes else {}
    return Plan(
        assessment.host,
        left,
        tuple(beyond),
        withheld,
        frozenset(waived),
        wishes=tuple(wishes),
        guarded=guarded,
    )


def _guarded(
    assessment: Assessment, accepted: Collection[str], controls: Sequence[Control]
) -> dict[str, dict[str, object]]:
    """Return the variables whose wishes may be held: by variable the ``reason`` and ``only_default``.

    ``only_default``: true if only the role's default is applied, since another value weakens a control;
    false if only that is held, since it repairs a waived control; None if every value is held.
    """
    waived = {finding.control.slug for finding in assessment.findings if finding.waived}
    found: dict[str, dict[str, object]] = {}
    for control in controls or [finding.control for finding in assessment.findings]:
        remediation = control.remediation
        is_waived = control.slug in waived
        if not remediation or control.slug in accepted or not (is_waived or remediation.needs_default):
            continue
        name = f"{control.id_in(assessment.benchmark)}: --accept-weaker {control.slug} applies it"
        what = f"it repairs the waived control {name}" if is_waived else f"it weakens {name}"
        only_default = not is_waived if remediation.needs_default else None
        known = found.setdefault(remediation.variable, {"reason": what, "only_default": only_default})
        if known["only_default"] is not only_default:  # one value weakens a control, the other repairs one
            found[remediation.variable] = {"reason": f"{known['reason']}; {what}", "only_default": None}
    return found


def outlook(plan: Plan, result: TransactionResult | None, *, failure: str = "") -> Outlook:
    """Join a plan with the result of the host's transaction.

    Args:
        plan: the plan.
        result: of the host's transaction; None without an answer.
        failure: the reason why there is no answer.
    """
    answered = result is not None
    result = result or TransactionResult()
    documents = {document.name: document for document in result.documents}
    failure = failure or result.reason if not documents else ""
    no_document = Fate.UNCHANGED if answered and not failure else Fate.UNKNOWN
    return Outlook(
        plan,
        tuple(_decision(step, documents, no_document) for step in plan.steps),
        result,
        left=tuple(_left(plan, documents)),
        failure=failure,
        wishes=tuple(_wishes(plan, result.documents)),
    )


def _decision(step: Step, documents: Mapping[str, DocumentResult], no_document: Fate) -> Decision:
    # A role that is impossible on a host answers with one document that has the role's name.
    document = documents.get(step.variable) or documents.get(step.role)
    if document is None:  # a role without a document for the variable has nothing to change on this host
        return Decision(step, no_document, step.impact)
    fate = _FATES[document.state]
    impact = step.impact if fate is Fate.BLOCKED else document.impact
    return Decision(step, fate, impact, document.reason, document.paths)


def _wishes(plan: Plan, documents: Sequence[DocumentResult]) -> Iterator[WishResult]:
    """Yield the wishes that no step of the plan applies too."""
    steps = {step.variable for step in plan.steps}
    for each in documents:
        if each.wish and each.name not in steps:
            role = max(
                (role for role in plan.wishes if f"{each.name}_".startswith(f"{role}_")), key=len, default=""
            )
            yield WishResult(
                role,
                each.name,
                each.variables,
                each.wish,
                _FATES[each.state],
                each.impact,
                each.reason,
                each.paths,
                each.removed,
            )


def _in_force(finding: Finding) -> Iterator[str]:
    return (each.waiver.id for each in finding.waivers if each.standing is Standing.IN_FORCE)


def _left(plan: Plan, documents: Mapping[str, DocumentResult]) -> Iterator[str]:
    named = {name for step in plan.steps for name in (step.variable, step.role)}
    for name, document in documents.items():
        if name not in named and document.state == HELD and not document.wish:
            yield f"held ({document.impact}): {name}: {document.reason}"
    kept = [wish for name, wish in plan.elsewhere.items() if name not in documents]
    for inventory, variables in dict.fromkeys((wish.inventory, wish.variables) for wish in kept):
        yield f"kept as another inventory, {inventory}, has set it: {', '.join(variables)}"


def _impacts(findings: Sequence[Finding]) -> Iterator[Impact]:
    for finding in findings:
        if remediation := finding.control.remediation:
            yield remediation.impact
