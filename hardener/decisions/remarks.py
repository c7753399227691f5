"""What reports say about waivers and attestations: beside each finding, and once for the whole run.

Every text here is one line that stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from hardener.model import (
    AppliedAttestation,
    AppliedWaiver,
    Assessment,
    Attestation,
    Decisions,
    Finding,
    Offender,
    Scope,
    Standing,
    Status,
    Waiver,
)
from hardener.text import first, line

SOON = 30  # days
_OFFENDERS_SHOWN = 5


def remarks(finding: Finding) -> list[str]:
    """What people decided about this finding, one decision a line."""
    return [*map(waiver_remark, finding.waivers), *map(attestation_remark, finding.attestations)]


def waiver_remark(applied: AppliedWaiver) -> str:
    """``waived until 2027-01-31 [W-012 by team-x]: the reason``."""
    waiver = applied.waiver
    match applied.standing:
        case Standing.IN_FORCE:
            who = f"[{waiver.id} by {waiver.owner}]{_about(waiver.scope, applied.offenders)}"
            return line(f"waived until {waiver.expires} {who}: {waiver.reason}", 600)
        case Standing.EXPIRED:
            return line(f"waiver {waiver.id} expired {waiver.expires}")
    return line(f"stale waiver {waiver.id}: there is nothing to waive")


def attestation_remark(applied: AppliedAttestation) -> str:
    """``attested until 2027-01-31 [A-001 by J. Doe on 2026-11-25]: what was looked at``."""
    said = applied.attestation
    match applied.standing:
        case Standing.IN_FORCE:
            who = f"[{said.id} by {said.attested_by} on {said.attested_on}]"
            about = _about(said.scope, applied.offenders)
            evidence = f" ({line(said.evidence)}, SHA-256 {said.sha256})" if said.evidence else ""
            return line(f"attested until {said.expires} {who}{about}: {said.looked_at}", 600) + evidence
        case Standing.EXPIRED:
            return line(f"attestation {said.id} expired {said.expires}")
    return line(f"stale attestation {said.id}: nobody has to look")


@dataclass(frozen=True, slots=True)
class Due:
    """A decision that has ended or soon will; ``days`` to its last one, below 0 after it."""

    decision: Waiver | Attestation
    days: int

    @property
    def kind(self) -> str:
        """``waiver`` or ``attestation``."""
        return _kind(self.decision)

    def __str__(self) -> str:
        """``waiver W-012 (daemon-icc-disabled, team-x) expires 2026-12-01, in 6 days``."""
        when = f"expires {self.decision.expires}, {_in(self.days)}"
        if self.days < 0:
            when = f"expired {self.decision.expires}"
        return line(f"{_called(self.decision)} {when}")


def due(decisions: Decisions | None) -> list[Due]:
    """The decisions that have expired, and those that do within 30 days, the earliest first."""
    if decisions is None:
        return []
    return ending([*decisions.waivers, *decisions.attestations], decisions.today)


def ending(decisions: Sequence[Waiver | Attestation], today: date) -> list[Due]:
    """Those of some decisions that have expired, or do within 30 days, the earliest first."""
    every = (Due(each, (each.expires - today).days) for each in decisions)
    soon = [each for each in every if each.days <= SOON]
    return sorted(soon, key=lambda each: (each.days, each.kind, each.decision.id))


class Tally:
    """What became of the decisions on all hosts of a run."""

    def __init__(self) -> None:
        self.partly = 0  # findings that fail, and of which some objects are waived
        self.attested = 0
        self._standings: dict[tuple[str, str], set[Standing]] = {}
        self._decisions: dict[tuple[str, str], Waiver | Attestation] = {}

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        for finding in assessment.findings:
            self.partly += finding.waived and finding.status is not Status.WAIVED
            self.attested += finding.attested
            for waiver in finding.waivers:
                self._note(waiver.waiver, waiver.standing)
            for attestation in finding.attestations:
                self._note(attestation.attestation, attestation.standing)

    def stale(self) -> list[Waiver | Attestation]:
        """Those that nothing needs on any host of the run; one whose hosts gave no answer is none."""
        return [self._decisions[key] for key, found in self._standings.items() if found == {Standing.STALE}]

    def notices(self, decisions: Decisions | None) -> list[str]:
        """What somebody has to do about decisions: ended, ending soon, not needed any more."""
        stale = (f"{_called(each)} is stale: nothing needs it" for each in self.stale())
        return [*map(str, due(decisions)), *map(line, stale)]

    def _note(self, decision: Waiver | Attestation, standing: Standing) -> None:
        key = (_kind(decision), decision.id)
        self._decisions.setdefault(key, decision)
        self._standings.setdefault(key, set()).add(standing)


def in_force(waivers: Sequence[AppliedWaiver]) -> Iterator[AppliedWaiver]:
    """The waivers that cover something."""
    return (each for each in waivers if each.standing is Standing.IN_FORCE)


def _called(decision: Waiver | Attestation) -> str:
    who = decision.owner if isinstance(decision, Waiver) else decision.attested_by
    return f"{_kind(decision)} {decision.id} ({decision.control}, {who})"


def _kind(decision: Waiver | Attestation) -> str:
    return "waiver" if isinstance(decision, Waiver) else "attestation"


def _about(scope: Scope, offenders: Sequence[Offender]) -> str:
    """``for container web, container db`` where a decision is about objects."""
    if not scope.objects:
        return ""
    names = [line(f"{each.kind} {each.name}", 80) for each in offenders]
    return f" for {', '.join(first(names, _OFFENDERS_SHOWN))}"


def _in(days: int) -> str:
    return "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
