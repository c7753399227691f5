"""Compare the findings of one host, and classify the change of each control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hardener.comparison.facts import ChangedFact
from hardener.model import Assessment, Control, Finding, Offender, Status


class ChangeKind(StrEnum):
    """The change of a control on a host, most urgent first."""

    BROKEN = "broken"  # it fails, and did not fail before
    APPLIES = "applies now and fails"  # it did not apply before
    WORSE = "worse"  # it fails as before, with additional offenders
    QUESTION = "more to decide"  # a person has to decide as before, about additional objects
    UNDECIDED = "no longer decided"
    WAIVED = "waived"  # it fails, and is waived now
    DECIDED = "decided otherwise"  # the same status with another waiver or attestation
    CHANGED = "changed otherwise"
    LESS = "fewer offenders"  # it fails as before
    FIXED = "fixed"
    STILL_FAILING = "still failing"  # with the same offenders
    UNCHANGED = "unchanged"

    @property
    def is_drift(self) -> bool:
        """Return whether the control is worse than before; an improved or waived control is no drift."""
        return self in (ChangeKind.BROKEN, ChangeKind.APPLIES, ChangeKind.WORSE, ChangeKind.QUESTION)


# All kinds except unchanged ones, by urgency.
CHANGES = tuple(kind for kind in ChangeKind if kind not in (ChangeKind.STILL_FAILING, ChangeKind.UNCHANGED))


@dataclass(frozen=True, slots=True)
class FindingChange:
    """A control of one host whose finding changed.

    ``new`` and ``gone`` are offenders that only one of the verdicts names. ``facts`` are those that the check
    reads and that differ, if both snapshots exist.
    """

    host: str
    control: Control
    id: str
    kind: ChangeKind
    before: Finding
    after: Finding
    new: tuple[Offender, ...] = ()
    gone: tuple[Offender, ...] = ()
    facts: tuple[ChangedFact, ...] = ()


def change_kind(before: Finding, after: Finding) -> ChangeKind:
    """Classify the change of a control from its findings before and after."""
    old, new = before.verdict.status, after.verdict.status
    if old is new:
        kind = ChangeKind.UNCHANGED
        if new is Status.FAIL:
            kind = _still_failing(before, after)
        elif new is Status.MANUAL and not _offenders(after) <= _offenders(before):
            kind = ChangeKind.QUESTION
        is_same = kind is ChangeKind.UNCHANGED or kind is ChangeKind.STILL_FAILING
        return ChangeKind.DECIDED if is_same and not _same_decisions(before, after) else kind
    match old, new:
        case Status.NOT_APPLICABLE, Status.FAIL:
            return ChangeKind.APPLIES
        case _, Status.FAIL:
            return ChangeKind.BROKEN
        case (_, Status.ERROR) | (Status.PASS, Status.MANUAL):
            return ChangeKind.UNDECIDED
        case _, Status.WAIVED:
            return ChangeKind.WAIVED
        case ((Status.FAIL | Status.WAIVED), Status.PASS):
            return ChangeKind.FIXED
    return ChangeKind.CHANGED


def finding_changes(before: Assessment, after: Assessment) -> Iterator[FindingChange]:
    """Return the changes of a host, in benchmark order, for the controls that both assessments judged.

    A host that could not be reached in one of them has no changes: its controls were not evaluated.
    """
    if before.unreachable or after.unreachable:
        return
    earlier = {finding.control.slug: finding for finding in before.findings}
    for finding in after.findings:
        old = earlier.get(finding.control.slug)
        if old and (kind := change_kind(old, finding)) in CHANGES:
            yield _change(kind, old, finding, after)


def _change(kind: ChangeKind, old: Finding, new: Finding, assessment: Assessment) -> FindingChange:
    earlier, later = _offenders(old), _offenders(new)
    return FindingChange(
        host=assessment.host,
        control=new.control,
        id=new.control.id_in(assessment.benchmark),
        kind=kind,
        before=old,
        after=new,
        new=tuple(each for each in new.verdict.offenders if (each.kind, each.name) not in earlier),
        gone=tuple(each for each in old.verdict.offenders if (each.kind, each.name) not in later),
    )


def _still_failing(before: Finding, after: Finding) -> ChangeKind:
    earlier, later = _offenders(before), _offenders(after)
    if not later <= earlier:
        return ChangeKind.WORSE
    return ChangeKind.LESS if later != earlier else ChangeKind.STILL_FAILING


def _offenders(finding: Finding) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in finding.verdict.offenders}


def _same_decisions(before: Finding, after: Finding) -> bool:
    """Return whether the same waivers and attestations apply to both findings."""
    if not (before.waivers or after.waivers or before.attestations or after.attestations):
        return True
    return _decisions(before) == _decisions(after)


def _decisions(finding: Finding) -> set[object]:
    """Return id, last day and effect (standing) of each waiver and attestation of a finding."""
    waivers = {(each.waiver.id, each.waiver.expires, each.standing) for each in finding.waivers}
    attestations = {
        (each.attestation.id, each.attestation.expires, each.standing) for each in finding.attestations
    }
    return waivers | attestations
