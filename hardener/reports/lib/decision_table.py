"""Collect the waivers and attestations of a run as a table: scope, person, last day, number of hosts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hardener.decisions.remarks import SOON
from hardener.model import Assessment, Attestation, Decisions, Scope, Standing, Waiver
from hardener.text import first, line

_NAMED = 5  # hosts, groups and objects of a scope


class DecisionTable:
    """Counts the hosts of each decision while the hosts are written."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, str], Waiver | Attestation] = {}
        self._hosts: dict[tuple[str, str], Counter[Standing]] = {}

    def add(self, assessment: Assessment) -> None:
        """Count one host."""
        for finding in assessment.findings:
            for waiver in finding.waivers:
                self._note("waiver", waiver.waiver, waiver.standing)
            for said in finding.attestations:
                self._note("attestation", said.attestation, said.standing)

    def rows(self, decisions: Decisions | None) -> list[dict[str, Any]]:
        """Return the decisions for the template, sorted by last day."""
        if decisions:  # some bear on no host
            for waiver in decisions.waivers:
                self._decisions.setdefault(("waiver", waiver.id), waiver)
            for said in decisions.attestations:
                self._decisions.setdefault(("attestation", said.id), said)
        ordered = sorted(self._decisions.items(), key=lambda item: (item[1].expires, item[0]))
        return [self._row(key, each, decisions) for key, each in ordered]

    def _note(self, kind: str, decision: Waiver | Attestation, standing: Standing) -> None:
        key = (kind, decision.id)
        self._decisions.setdefault(key, decision)
        self._hosts.setdefault(key, Counter())[standing] += 1

    def _row(
        self, key: tuple[str, str], decision: Waiver | Attestation, decisions: Decisions | None
    ) -> dict[str, Any]:
        hosts = self._hosts.get(key, Counter())
        if isinstance(decision, Waiver):
            who = f"{decision.owner}, approved by {decision.approved_by}"
            why = "; ".join(filter(None, (decision.reason, decision.compensating_control, decision.ticket)))
        else:
            who, why = f"{decision.attested_by} on {decision.attested_on}", decision.looked_at
        return {
            "kind": key[0],
            "id": line(decision.id),
            "slug": decision.control,
            "who": line(who),
            "why": line(why, 600),
            "scope": _scope(decision.scope),
            "expires": decision.expires.isoformat(),
            "state": _state(decision, decisions),
            "hosts": [
                (number, words)
                for standing, words in (
                    (Standing.IN_FORCE, "in force"),
                    (Standing.EXPIRED, "expired, still needed"),
                    (Standing.STALE, "not needed"),
                )
                if (number := hosts[standing])
            ],
        }


def _scope(scope: Scope) -> str:
    objects = [f"{kind} {name}" for kind, name in scope.objects]
    parts = [line(", ".join(first(each, _NAMED))) for each in (scope.hosts, scope.groups, objects) if each]
    return "; ".join(parts)


def _state(decision: Waiver | Attestation, decisions: Decisions | None) -> str:
    """Return ``expired``, ``ending`` within 30 days, or an empty text."""
    if decisions is None:
        return ""
    days = (decision.expires - decisions.today).days
    return "expired" if days < 0 else "ending" if days <= SOON else ""
