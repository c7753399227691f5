"""Pages about controls, with the hosts where each is open or waived, and about waivers and attestations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.comparison.previous_runs import Point
from hardener.decisions.remarks import Due
from hardener.model import Attestation, Decisions, Scope, Standing, Status, Waiver
from hardener.reports.lib.chart_data import trend
from hardener.reports.lib.statuses import plain, section_title
from hardener.site.fleet import STATUS_ORDER, ControlHosts, Gathered
from hardener.site.place import Place, file_name
from hardener.site.rendering import File, paged, row, shown
from hardener.summary import SEVERITIES
from hardener.text import first


def controls(place: Place, gathered: Gathered) -> File:
    """Return the page that lists all controls."""
    listed = [
        (
            section_title(name, gathered.summary.benchmark),
            file_name(name),
            [row("control", each, plain(each.counts)) for each in found],
        )
        for name, found in gathered.by_section()
    ]
    return place.file(
        "controls",
        "controls",
        "controls",
        title="Controls",
        benchmark=gathered.summary.benchmark,
        number=len(gathered.controls),
        hosts=gathered.summary.hosts,
        sections=listed,
    )


def control(
    place: Place,
    each: ControlHosts,
    history: Sequence[Counter[Status]],
    ends: Sequence[datetime],
    benchmark: str,
) -> Iterator[File]:
    """Yield the pages of a control: its description, and the hosts where it fails, errs, is manual or waived.

    Args:
        place: the inventory.
        each: the control.
        history: the number of hosts by status, run by run.
        ends: the ends of these runs.
        benchmark: the benchmark of the last run.
    """
    described = each.control
    rows = sorted(
        each.rows,
        key=lambda one: (STATUS_ORDER.index(one.status), SEVERITIES.index(one.severity), one.host),
    )
    points = [
        Point("", ended, 1, 0, counts) for ended, counts in zip(ends, history, strict=True) if counts.total()
    ]
    role = described.remediation
    yield from place.files(
        f"controls/{each.file}",
        "controls",
        "control",
        list(paged(row("control_host", one) for one in rows)),
        title=f"{each.id} {described.title}",
        control=described,
        id=each.id,
        level=described.benchmarks[benchmark].level if benchmark in described.benchmarks else 0,
        section=section_title(each.section, benchmark),
        severity=each.severity.value,
        counts=plain(each.counts),
        hosts=each.counts.total(),
        left_out=each.left_out,
        role=role and (role.role, role.variable, IMPACTS[role.impact]),
        mappings=[
            (
                FRAMEWORKS.get(one.framework, one.framework),
                ", ".join(one.requirements),
                SOURCES.get(one.source, ""),
            )
            for one in described.mappings
        ],
        trend=trend(points),
    )


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
