"""The controls of one host that do not stand as they stood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hardener.drift.facts import MovedFact
from hardener.model import Assessment, Control, Finding, Offender, Status


class Kind(StrEnum):
    """What became of a control, what a reader must hear first comes first."""

    BROKEN = "broken"  # it fails, and did not
    WORSE = "worse"  # it failed, and has offenders that it had not
    UNDECIDED = "no longer decided"
    WAIVED = "waived"  # it fails, and somebody has accepted that since
    DECIDED = "decided otherwise"  # it stands as it stood, by another waiver or attestation
    CHANGED = "changed otherwise"
    LESS = "fewer offenders"  # it still fails
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Move:
    """A control of one host that stands otherwise than before.

    ``new`` and ``gone`` are offenders that only one of the verdicts names. ``facts`` are those that the check
    read and that differ, where both snapshots are there.
    """

    host: str
    control: Control
    id: str
    kind: Kind
    before: Finding
    after: Finding
    new: tuple[Offender, ...] = ()
    gone: tuple[Offender, ...] = ()
    facts: tuple[MovedFact, ...] = ()

    @property
    def is_drift(self) -> bool:
        """Whether it is worse than before; what got better, or was waived, has moved and is no drift."""
        return self.kind in (Kind.BROKEN, Kind.WORSE)


def moves(before: Assessment, after: Assessment) -> Iterator[Move]:
    """What moved on a host, in benchmark order, by the controls that both assessments judged.

    A host that one of them could not reach did not move: it was not seen.
    """
    if before.unreachable or after.unreachable:
        return
    earlier = {finding.control.slug: finding for finding in before.findings}
    for finding in after.findings:
        old = earlier.get(finding.control.slug)
        if old and (move := _move(old, finding, after)):
            yield move


def _move(old: Finding, new: Finding, assessment: Assessment) -> Move | None:
    earlier, later = ({(each.kind, each.name) for each in side.verdict.offenders} for side in (old, new))
    kind = _kind(old.status, new.status, more=not later <= earlier, less=not earlier <= later)
    if kind is None and _decisions(old) != _decisions(new):
        kind = Kind.DECIDED
    if kind is None:
        return None
    return Move(
        host=assessment.host,
        control=new.control,
        id=new.control.id_in(assessment.benchmark),
        kind=kind,
        before=old,
        after=new,
        new=tuple(each for each in new.verdict.offenders if (each.kind, each.name) not in earlier),
        gone=tuple(each for each in old.verdict.offenders if (each.kind, each.name) not in later),
    )


def _decisions(finding: Finding) -> set[object]:
    """The waivers and attestations that bear on a finding, and how they stand."""
    waivers = {(each.waiver.id, each.waiver.expires, each.standing) for each in finding.waivers}
    attestations = {
        (each.attestation.id, each.attestation.expires, each.standing) for each in finding.attestations
    }
    return waivers | attestations


def _kind(before: Status, after: Status, *, more: bool, less: bool) -> Kind | None:
    """What became of a control; None where nothing did."""
    match before, after:
        case Status.FAIL, Status.FAIL:
            return Kind.WORSE if more else Kind.LESS if less else None
        case _ if before is after:
            return None
        case _, Status.FAIL:
            return Kind.BROKEN
        case (_, Status.ERROR) | (Status.PASS, Status.MANUAL):
            return Kind.UNDECIDED
        case _, Status.WAIVED:
            return Kind.WAIVED
        case ((Status.FAIL | Status.WAIVED), Status.PASS):
            return Kind.FIXED
    return Kind.CHANGED
