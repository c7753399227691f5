"""Pages about waivers and attestations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hardener.decisions.remarks import Due
from hardener.model import Attestation, Decisions, Scope, Standing, Waiver
from hardener.site.fleet import Gathered
from hardener.site.place import Place
from hardener.site.rendering import File, paged, row, shown
from hardener.text import first

_NAMED = 10


def decisions(place: Place, gathered: Gathered, made: Decisions) -> Iterator[File]:
    """Yield the pages that list the waivers and attestations of the last run, by their last day."""
    every: list[Waiver | Attestation] = [*made.waivers, *made.attestations]
    stale = gathered.summary.decided.stale()
    rows = []
    for each in sorted(every, key=lambda one: (one.expires, one.id)):
        counts = gathered.standings.get(each.id, Counter())
        about = gathered.controls.get(each.control)
        is_waiver = isinstance(each, Waiver)
        rows.append(
            row(
                "decision",
                {
                    "id": shown(each.id, 100),
                    "kind": "waiver" if is_waiver else "attestation",
                    "control": about.control.title if about else shown(each.control),
                    "number": about.id if about else "",
                    "href": f"controls/{about.file}.html" if about else "",
                    "scope": _scope(each.scope),
                    "text": shown(each.reason if isinstance(each, Waiver) else each.looked_at, 600),
                    "by": shown(each.owner if isinstance(each, Waiver) else each.attested_by),
                    "details": _details(each),
                    "expires": each.expires.isoformat(),
                    "days": Due(each, (each.expires - made.today).days).days,
                    "in_force": counts[Standing.IN_FORCE],
                    "expired": counts[Standing.EXPIRED],
                    "stale": each in stale,
                },
            )
        )
    yield from place.files(
        "waivers",
        "waivers",
        "waivers",
        list(paged(rows)),
        title="Waivers and attestations",
        waivers=len(made.waivers),
        attestations=len(made.attestations),
        today=made.today.isoformat(),
    )


def _details(each: Waiver | Attestation) -> list[tuple[str, str]]:
    if isinstance(each, Waiver):
        said = [
            ("approved by", each.approved_by),
            ("ticket", each.ticket),
            ("instead", each.compensating_control),
        ]
    else:
        said = [("on", each.attested_on.isoformat()), ("evidence", each.evidence), ("SHA-256", each.sha256)]
    return [(name, shown(value)) for name, value in said if value]


def _scope(scope: Scope) -> str:
    """Return the hosts and objects of a decision on one line."""
    parts = [*scope.hosts, *(f"group {name}" for name in scope.groups)]
    parts += [f"{kind} {name}" for kind, name in scope.objects]
    return ", ".join(shown(part, 100) for part in first(parts, _NAMED))
