"""The tables of the HTML page: its waivers and attestations, and its findings for browsers without script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardener import catalogue
from hardener.decisions.remarks import SOON, Tally, kind_of
from hardener.model import Attestation, Decisions, Scope, Standing, Waiver
from hardener.reports.lib.page import CODES, result_record
from hardener.reports.lib.statuses import ORDER, WORDS
from hardener.text import first, line

_NAMED = 5  # hosts, groups and objects of a scope


def decision_rows(tally: Tally, decisions: Decisions | None) -> list[dict[str, Any]]:
    """Return the decisions of a run for templates, sorted by last day.

    Args:
        tally: their effects on the hosts.
        decisions: all of them: some bear on no host.
    """
    known = dict(tally.decisions)
    every: list[Waiver | Attestation] = []
    if decisions:
        every += (*decisions.waivers, *decisions.attestations)
    for each in every:
        known.setdefault((kind_of(each), each.id), each)
    ordered = sorted(known.items(), key=lambda item: (item[1].expires, item[0]))
    return [_row(key, each, tally.standings.get(key, Counter()), decisions) for key, each in ordered]


def _row(
    key: tuple[str, str],
    decision: Waiver | Attestation,
    hosts: Counter[Standing],
    decisions: Decisions | None,
) -> dict[str, Any]:
    if isinstance(decision, Waiver):
        who = f"{decision.owner}, approved by {decision.approved_by}"
        why = "; ".join(filter(None, (decision.reason, decision.compensating_control, decision.ticket)))
        seen = ""
    else:
        who, why = f"{decision.attested_by} on {decision.attested_on}", decision.looked_at
        seen = ", SHA-256 ".join(filter(None, (decision.evidence, decision.sha256)))
    return {
        "kind": key[0],
        "id": line(decision.id),
        "slug": decision.control,
        "who": line(who),
        "why": line(why, 600),
        "evidence": line(seen),
        "scope": scope_text(decision.scope),
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


def scope_text(scope: Scope) -> str:
    """Return the hosts, groups and objects of a decision."""
    objects = [f"{kind} {name}" for kind, name in scope.objects]
    parts = [line(", ".join(first(each, _NAMED))) for each in (scope.hosts, scope.groups, objects) if each]
    return "; ".join(parts)


def _state(decision: Waiver | Attestation, decisions: Decisions | None) -> str:
    """Return ``expired``, ``ending`` within 30 days, or an empty text."""
    if decisions is None:
        return ""
    days = (decision.expires - decisions.today).days
    return "expired" if days < 0 else "ending" if days <= SOON else ""


MOST_HOSTS = 50  # of which one file has all findings
_STATUS_OF = {code: status for status, code in CODES.items()}
# What is open comes first.
_PLACE = {code: place for place, code in enumerate("femwnp")}


class PlainFindings:
    """The findings of a run; empty if the run has more hosts than fit into one file."""

    def __init__(self) -> None:
        self._hosts: list[tuple[str, str, Sequence[int]]] = []
        self._verdicts: list[list[Any]] = []
        self.too_many = False

    def add(self, host: str, codes: str, numbers: Sequence[int], new: Sequence[list[Any]]) -> None:
        """Keep the findings of a host.

        Args:
            host: its name.
            codes: the status of each control, ``-`` where the host was not judged by it.
            numbers: the number of the verdict of each control.
            new: the verdicts that no earlier host had, in the order of their numbers.
        """
        if len(self._hosts) == MOST_HOSTS:
            self.too_many = True
            self._hosts.clear()
            self._verdicts.clear()
        if not self.too_many:
            self._hosts.append((host, codes, numbers))
            self._verdicts.extend(new)

    def sections(self, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the sections of the benchmark with their controls and findings, for the template."""
        if not self._hosts:
            return
        controls = sorted(enumerate(known["controls"]), key=lambda each: catalogue.order(each[1]["id"]))
        for number, (key, title) in enumerate(known["sections"]):
            yield {
                "number": number,
                "key": key,
                "title": title,
                "controls": [
                    {**control, "results": list(self._results(place)), "counts": self._counts(place)}
                    for place, control in controls
                    if control["section"] == number
                ],
            }

    def _results(self, place: int) -> Iterator[dict[str, Any]]:
        """Yield each different result of a control with its hosts, open results first."""
        found: dict[tuple[str, int], list[str]] = {}
        for host, codes, numbers in self._hosts:
            if place < len(codes) and codes[place] != "-":
                found.setdefault((codes[place], numbers[place]), []).append(host)
        for (code, number), hosts in sorted(found.items(), key=lambda item: _PLACE[item[0][0]]):
            status = _STATUS_OF[code]
            yield result_record(status, self._verdicts[number], hosts)

    def _counts(self, place: int) -> str:
        """Return the number of hosts by the status of a control, such as ``2 fail, 1 pass``."""
        counts = Counter(codes[place] for _, codes, _ in self._hosts if place < len(codes))
        shown = [(counts[CODES[status]], WORDS[status]) for status in ORDER if counts[CODES[status]]]
        return ", ".join(f"{number} {word}" for number, word in shown)
