"""Pages about controls, with the hosts where each is open or waived, and about waivers and attestations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.comparison.previous_runs import Point
from hardener.model import Decisions, Status
from hardener.reports.lib.chart_data import trend
from hardener.reports.lib.statuses import plain, section_title
from hardener.reports.lib.tables import decision_rows
from hardener.site.fleet import STATUS_ORDER, ControlHosts, Gathered
from hardener.site.place import Place, file_name
from hardener.site.rendering import File, paged, row
from hardener.summary import SEVERITIES


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


def decisions(place: Place, gathered: Gathered, made: Decisions) -> Iterator[File]:
    """Yield the pages that list the waivers and attestations of the last run, by their last day."""
    listed = decision_rows(gathered.summary.decided, made)
    rows = (row("decision", each, gathered.controls.get(each["slug"])) for each in listed)
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
