"""Apply waivers and attestations to the verdicts of checks. Pure: no clock, no file.

A waiver changes a failure to *waived*, and no other status: a control that could not be evaluated stays an
error. A waiver of objects covers the offenders that it names; others fail as before. An attestation changes
*manual* to a pass. Both are part of the finding, in force or not, so that every report can show them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import TypeVar

from hardener.model import (
    AppliedAttestation,
    AppliedWaiver,
    Attestation,
    Control,
    Decisions,
    Finding,
    Offender,
    Scope,
    Standing,
    Status,
    Verdict,
    Waiver,
)
from hardener.text import line, shorten

EVERY_HOST = "all"  # Ansible's group of all hosts
_NAMED = 3

_Offenders = tuple[Offender, ...]
_Decision = TypeVar("_Decision", Waiver, Attestation)


@dataclass(frozen=True, slots=True)
class Place:
    """A host for the scope of decisions: its inventory name, and its groups where they are known."""

    host: str
    groups: frozenset[str] | None = None


def decider(decisions: Decisions, place: Place) -> Callable[[Control, Verdict], Finding]:
    """Return a function that applies the decisions about a host to its verdicts, and returns findings."""
    waivers = _by_control(decisions.waivers, place)
    attestations = _by_control(decisions.attestations, place)

    def decide(control: Control, verdict: Verdict) -> Finding:
        finding = Finding(control, verdict)
        if own := waivers.get(control.slug):
            finding = _waive(finding, own, decisions.today)
        if answers := attestations.get(control.slug):
            finding = _attest(finding, answers, decisions.today)
        return finding

    return decide


def holds_on(scope: Scope, place: Place) -> bool:
    """Return whether a decision applies to this host; by group only where the host's groups are known."""
    return (
        any(fnmatchcase(place.host, glob) for glob in scope.hosts)
        or EVERY_HOST in scope.groups
        or not (place.groups or frozenset()).isdisjoint(scope.groups)
    )


def covered_offenders(scope: Scope, offenders: Sequence[Offender]) -> _Offenders:
    """Return the offenders that a decision about objects names."""
    return tuple(
        each
        for each in offenders
        if any(each.kind == kind and fnmatchcase(each.name, glob) for kind, glob in scope.objects)
    )


def by_groups(decisions: Decisions) -> list[str]:
    """Return the ids of the decisions that depend on the groups of a host."""
    made: list[Waiver | Attestation] = [*decisions.waivers, *decisions.attestations]
    return [each.id for each in made if set(each.scope.groups) - {EVERY_HOST}]


def _by_control(decisions: Sequence[_Decision], place: Place) -> dict[str, list[_Decision]]:
    found: dict[str, list[_Decision]] = {}
    for each in decisions:
        if holds_on(each.scope, place):
            found.setdefault(each.control, []).append(each)
    return found


# --- waivers --------------------------------------------------------------------------------------------


def _waive(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    verdict = finding.verdict
    if verdict.status in (Status.PASS, Status.NOT_APPLICABLE, Status.MANUAL):
        unneeded = [each for each in waivers if each.expires >= today]
        return replace(finding, waivers=tuple(AppliedWaiver(each, Standing.STALE) for each in unneeded))
    if verdict.status is not Status.FAIL:
        return finding
    in_force: dict[str, AppliedWaiver] = {}
    for waiver in waivers:
        if waiver.expires >= today:
            hit = covered_offenders(waiver.scope, verdict.offenders)
            needed = hit or not waiver.scope.objects
            standing = Standing.IN_FORCE if needed else Standing.STALE
            in_force[waiver.id] = AppliedWaiver(waiver, standing, hit)
    left = _without(verdict, [each for each in in_force.values() if each.standing is Standing.IN_FORCE])
    if left.status is Status.FAIL:
        for waiver in waivers:
            hit = covered_offenders(waiver.scope, left.offenders)
            if waiver.id not in in_force and (hit or not waiver.scope.objects):
                in_force[waiver.id] = AppliedWaiver(waiver, Standing.EXPIRED, hit)
    ordered = tuple(in_force[each.id] for each in waivers if each.id in in_force)
    return replace(finding, verdict=left, waivers=ordered)


def _without(verdict: Verdict, waivers: Sequence[AppliedWaiver]) -> Verdict:
    """Return the verdict of a failing control after applying these waivers."""
    if not waivers:
        return verdict
    if any(not each.waiver.scope.objects for each in waivers):
        return replace(verdict, status=Status.WAIVED, undecided=None)
    waived = {offender for each in waivers for offender in each.offenders}
    rest = tuple(each for each in verdict.offenders if each not in waived)
    if rest:
        actual = _open(rest, verdict.offenders, "waived")
        return replace(verdict, actual=actual, offenders=rest)
    if left := verdict.undecided:
        return replace(
            verdict, status=left.status, actual=left.actual, offenders=left.offenders, undecided=None
        )
    return replace(verdict, status=Status.WAIVED)


def _open(remaining: Sequence[Offender], every: Sequence[Offender], word: str) -> str:
    """Return a complete sentence such as ``1 of 3 is not waived: db runs privileged``."""
    named = "; ".join(f"{shorten(each.name, 60)} {shorten(each.detail, 120)}" for each in remaining[:_NAMED])
    more = f"; and {len(remaining) - _NAMED} more" if len(remaining) > _NAMED else ""
    verb = "is" if len(remaining) == 1 else "are"
    return line(f"{len(remaining)} of {len(every)} {verb} not {word}: {named}{more}", 600)


# --- attestations ---------------------------------------------------------------------------------------


def _attest(finding: Finding, attestations: Sequence[Attestation], today: date) -> Finding:
    verdict = finding.verdict
    if verdict.status in (Status.PASS, Status.NOT_APPLICABLE):
        unneeded = [each for each in attestations if each.expires >= today]
        stale = tuple(AppliedAttestation(each, Standing.STALE) for each in unneeded)
        return replace(finding, attestations=stale)
    if verdict.status is not Status.MANUAL:
        return finding
    applied = []
    answered: set[Offender] = set()
    whole = False
    for each in attestations:
        hit = covered_offenders(each.scope, verdict.offenders)
        standing = Standing.IN_FORCE if hit or not each.scope.objects else Standing.STALE
        if each.expires < today:
            if standing is Standing.STALE:
                continue
            standing = Standing.EXPIRED
        elif standing is Standing.IN_FORCE:
            answered.update(hit)
            whole = whole or not each.scope.objects
        applied.append(AppliedAttestation(each, standing, hit))
    return replace(
        finding, verdict=_attested_finding(finding, answered, whole=whole), attestations=tuple(applied)
    )


def _attested_finding(finding: Finding, offenders: set[Offender], *, whole: bool) -> Verdict:
    """Return the verdict of a manual control after attestations of all or of some objects."""
    verdict = finding.verdict
    if not whole and not offenders:
        return verdict
    rest = () if whole else tuple(each for each in verdict.offenders if each not in offenders)
    seen = [f"{each.kind} {each.name}: {each.detail}" for each in verdict.offenders if each not in rest]
    if rest:
        status, actual = Status.MANUAL, _open(rest, verdict.offenders, "attested")
    else:
        # An attestation of the other objects does not turn waived ones into a pass.
        status = Status.WAIVED if finding.waived else Status.PASS
        actual = "attested by a person"
    return replace(
        verdict, status=status, actual=actual, offenders=rest, evidence=(*verdict.evidence, *map(line, seen))
    )
