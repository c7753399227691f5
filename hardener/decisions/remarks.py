"""Describe waivers and attestations for reports: for each finding, and for the whole run.

Every text here is one line that stands alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from hardener.decisions.apply import Place, holds_on
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
    """Return remarks on the decisions about a finding, one line for each.

    A decision about several hosts is not needed on each of them.
    """
    waivers = (each for each in finding.waivers if not _is_for_others(each.standing, each.waiver.scope))
    attestations = (
        each for each in finding.attestations if not _is_for_others(each.standing, each.attestation.scope)
    )
    return [*map(waiver_remark, waivers), *map(attestation_remark, attestations)]


def waiver_remark(applied: AppliedWaiver, *, waived: str = "waived") -> str:
    """Describe a waiver: ``waived until 2027-01-31 [W-012 by team-x]: the reason``.

    Args:
        applied: the waiver.
        waived: the first word for one that is in force.
    """
    waiver = applied.waiver
    match applied.standing:
        case Standing.IN_FORCE:
            who = f"[{waiver.id} by {waiver.owner}]{_about(waiver.scope, applied.offenders)}"
            return line(f"{waived} until {waiver.expires} {who}: {waiver.reason}", 600)
        case Standing.EXPIRED:
            return line(f"waiver {waiver.id} expired {waiver.expires}")
    return line(f"waiver {waiver.id} is not needed here: there is nothing to waive")


def attestation_remark(applied: AppliedAttestation) -> str:
    """Describe an attestation: ``attested until 2027-01-31 [A-001 by J. Doe on 2026-11-25]: …``."""
    said = applied.attestation
    match applied.standing:
        case Standing.IN_FORCE:
            who = f"[{said.id} by {said.attested_by} on {said.attested_on}]"
            about = _about(said.scope, applied.offenders)
            evidence = f" ({line(said.evidence)}, SHA-256 {said.sha256})" if said.evidence else ""
            return line(f"attested until {said.expires} {who}{about}: {said.looked_at}", 600) + evidence
        case Standing.EXPIRED:
            return line(f"attestation {said.id} expired {said.expires}")
    return line(f"attestation {said.id} is not needed here: there is nothing to attest")


@dataclass(frozen=True, slots=True)
class Due:
    """A decision that has expired or expires soon; ``days`` until its last day, negative afterwards."""

    decision: Waiver | Attestation
    days: int

    @property
    def kind(self) -> str:
        """Return ``waiver`` or ``attestation``."""
        return kind_of(self.decision)

    def __str__(self) -> str:
        """Return ``waiver W-012 (daemon-icc-disabled, team-x) expires 2026-12-01, in 6 days``."""
        when = f"expires {self.decision.expires}, {_in(self.days)}"
        if self.days < 0:
            when = f"expired {self.decision.expires}"
        return line(f"{_title(self.decision)} {when}")


def due(decisions: Decisions | None) -> list[Due]:
    """Return the decisions that have expired or expire within 30 days, earliest first."""
    if decisions is None:
        return []
    return ending([*decisions.waivers, *decisions.attestations], decisions.today)


def ending(decisions: Sequence[Waiver | Attestation], today: date) -> list[Due]:
    """Return the given decisions that have expired or expire within 30 days, earliest first."""
    every = (Due(each, (each.expires - today).days) for each in decisions)
    soon = [each for each in every if each.days <= SOON]
    return sorted(soon, key=lambda each: (each.days, each.kind, each.decision.id))


class Tally:
    """Counts the effects of the decisions on all hosts of a run."""

    def __init__(self) -> None:
        self.partly = 0  # failing findings of which some objects are waived
        self.attested = 0
        # By kind and id of a decision: the number of hosts by its effect, and the decision.
        self.standings: dict[tuple[str, str], Counter[Standing]] = {}
        self.decisions: dict[tuple[str, str], Waiver | Attestation] = {}
        self._hosts: set[str] = set()
        self._not_evaluated: dict[str, list[Place]] = {}  # hosts by the control that is an error there

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        self._hosts.add(assessment.host)
        place = Place(assessment.host, frozenset(assessment.groups) or None)
        for finding in assessment.findings:
            if finding.status is Status.ERROR:
                self._not_evaluated.setdefault(finding.control.slug, []).append(place)
            self.partly += finding.waived and finding.status is not Status.WAIVED
            self.attested += finding.attested
            for waiver in finding.waivers:
                self._note(waiver.waiver, waiver.standing)
            for attestation in finding.attestations:
                self._note(attestation.attestation, attestation.standing)

    def stale(self) -> list[Waiver | Attestation]:
        """Return the decisions that no host needs; omit what a host that was not evaluated may need."""
        unneeded = (key for key, found in self.standings.items() if found.keys() == {Standing.STALE})
        return [each for each in map(self.decisions.__getitem__, unneeded) if not self._is_open(each)]

    def _is_open(self, decision: Waiver | Attestation) -> bool:
        """Return whether a host that this run has not evaluated may need a decision."""
        return not self._hosts.issuperset(_literal(decision.scope)) or any(
            holds_on(decision.scope, place) or (decision.scope.groups and place.groups is None)
            for place in self._not_evaluated.get(decision.control, ())
        )

    def notices(self, decisions: Decisions | None) -> list[str]:
        """Return notices about decisions: expired, expiring soon, not needed any more."""
        stale = (f"{_title(each)} is stale: no host of this run needs it" for each in self.stale())
        return [*map(str, due(decisions)), *map(line, stale)]

    def _note(self, decision: Waiver | Attestation, standing: Standing) -> None:
        key = (kind_of(decision), decision.id)
        self.decisions.setdefault(key, decision)
        self.standings.setdefault(key, Counter())[standing] += 1


def in_force(waivers: Sequence[AppliedWaiver]) -> Iterator[AppliedWaiver]:
    """Return the waivers in force: those that cover a failing control or an offender."""
    return (each for each in waivers if each.standing is Standing.IN_FORCE)


def _title(decision: Waiver | Attestation) -> str:
    who = decision.owner if isinstance(decision, Waiver) else decision.attested_by
    return f"{kind_of(decision)} {decision.id} ({decision.control}, {who})"


def kind_of(decision: Waiver | Attestation) -> str:
    """Return ``waiver`` or ``attestation``."""
    return "waiver" if isinstance(decision, Waiver) else "attestation"


def _about(scope: Scope, offenders: Sequence[Offender]) -> str:
    """Return ``for container web, container db`` for a decision about objects."""
    if not scope.objects:
        return ""
    names = [line(f"{each.kind} {each.name}", 80) for each in offenders]
    return f" for {', '.join(first(names, _OFFENDERS_SHOWN))}"


def _is_for_others(standing: Standing, scope: Scope) -> bool:
    return standing is Standing.STALE and (bool(scope.groups) or scope.hosts != _literal(scope))


def _literal(scope: Scope) -> tuple[str, ...]:
    """Return the hosts that a scope names without a pattern."""
    return tuple(host for host in scope.hosts if not set("*?[") & set(host))


def _in(days: int) -> str:
    return "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
