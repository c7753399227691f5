"""Pages about hosts: the list, a page for each host with its findings and their changes, and the groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hardener.comparison.previous_runs import Point
from hardener.model import Assessment, Finding, Status
from hardener.reports.lib.chart_data import trend
from hardener.reports.lib.overview import workload_record
from hardener.reports.lib.page import result_record, verdict_record
from hardener.reports.lib.statuses import WORDS, headline, plain
from hardener.site.fleet import STATUS_ORDER, Gathered, GroupHosts, HostRow
from hardener.site.place import Place, RunRow, file_name
from hardener.site.rendering import File, fitting, paged, row, shown
from hardener.summary import SEVERITIES, compliance
from hardener.text import utc

_NAMED = 10


def hosts(place: Place, gathered: Gathered, former: Sequence[HostRow]) -> Iterator[File]:
    """Yield the pages that list the hosts of the last run, and the hosts that only earlier runs had."""
    rows = [row("host", each, "hosts/", plain(each.counts)) for each in gathered.sorted_hosts()]
    yield from place.files(
        "hosts",
        "hosts",
        "hosts",
        list(paged(rows)),
        title="Hosts",
        hosts=len(rows),
        former=[(f"hosts/{each.file}.html", each.name, each.collected_at) for each in former[:100]],
        former_hosts=len(former),
    )


class Move(NamedTuple):
    """The statuses of a control on a host over the runs, as spans: status, first run, number of runs."""

    slug: str
    spans: tuple[tuple[Status, int, int], ...]


def host(
    place: Place,
    each: HostRow,
    assessment: Assessment,
    *,
    run: RunRow,
    moves: Sequence[Move],
    ends: Sequence[datetime],
    former: bool,
) -> File:
    """Return the page of a host.

    Args:
        place: the inventory.
        each: the host.
        assessment: its findings in the last run that has it.
        run: that run.
        moves: its controls over the series.
        ends: the ends of the runs of the series.
        former: whether the inventory no longer has the host.
    """
    title, verdict = headline(each.counts, 1, not_changed=each.is_not_changed)
    controls = {finding.control.slug: finding.control for finding in assessment.findings}
    riskiest = assessment.workloads.riskiest if assessment.workloads else ()
    groups = [
        (f"../groups/{file_name(name)}.html" if name in place.groups else "", shown(name, 100))
        for name in each.groups[:_NAMED]
    ]
    changed = [
        (
            controls[move.slug].id_in(assessment.benchmark),
            _page_of(move.slug, place),
            controls[move.slug].title,
            move.spans,
            utc(ends[move.spans[-1][1]]),
        )
        for move in sorted(moves, key=lambda move: -move.spans[-1][1])
        if move.slug in controls and len(move.spans) > 1
    ]
    return place.file(
        f"hosts/{each.file}",
        "hosts",
        "host",
        title=each.name,
        headline=title,
        verdict=verdict,
        host=each,
        run=run,
        former=former,
        counts=plain(each.counts),
        facts=[(shown(name, 50), shown(value)) for name, value in sorted(assessment.facts.items())][:20],
        groups=groups,
        trend=trend(_host_points(moves, ends)),
        runs=len(ends),
        changed=changed,
        workloads=[workload_record(one) for one in riskiest[:20]],
        findings=list(_findings(assessment, place)),
    )


def spans(steps: Sequence[tuple[int, Status]], runs: int) -> tuple[tuple[Status, int, int], ...]:
    """Return the spans of one control: status, first run, number of runs.

    Args:
        steps: where a status begins, and which.
        runs: the number of runs.
    """
    ends = [place for place, _ in steps[1:]] + [runs]
    return tuple((status, place, end - place) for (place, status), end in zip(steps, ends, strict=True))


def _page_of(slug: str, place: Place) -> str:
    """Return the address of the page of a control; empty if the last run does not have the control."""
    return f"../controls/{file_name(slug)}.html" if slug in place.controls else ""


def _findings(assessment: Assessment, place: Place) -> Iterator[tuple[str, str, int, list[Any]]]:
    """Yield the findings of a host by status; if the page is too large, the last findings without details."""
    ordered = sorted(
        assessment.findings,
        key=lambda each: (STATUS_ORDER.index(each.status), SEVERITIES.index(each.severity)),
    )
    pairs = []
    for each in ordered:
        value = _finding(each, assessment.benchmark) | {"href": _page_of(each.control.slug, place)}
        pairs.append((row("finding", value), row("short_finding", value)))
    rendered = fitting(pairs)
    for status in STATUS_ORDER:
        found = [text for each, text in zip(ordered, rendered, strict=True) if each.status is status]
        if found:
            yield status.value, WORDS[status], len(found), found


def _finding(each: Finding, benchmark: str) -> dict[str, Any]:
    return {
        "anchor": file_name(each.control.slug),
        "id": each.control.id_in(benchmark),
        "title": each.control.title_if(each.status),
        "severity": each.severity.value,
        **result_record(each.status, verdict_record(each), ()),
    }


def _host_points(moves: Sequence[Move], ends: Sequence[datetime]) -> list[Point]:
    """Return the totals of a host, run by run, for its trend."""
    counts: list[Counter[Status]] = [Counter() for _ in ends]
    for move in moves:
        for status, begin, length in move.spans:
            for place in range(begin, begin + length):
                counts[place][status] += 1
    return [Point("", ended, 1, 0, found) for ended, found in zip(ends, counts, strict=True) if found.total()]


def groups(place: Place, gathered: Gathered) -> Iterator[File]:
    """Yield the pages that list the groups, and the pages of each group."""
    every = gathered.shown_groups()
    rows = [
        row(
            "group",
            each.file,
            shown(each.name),
            len(each.hosts),
            plain(each.counts),
            compliance(each.counts),
        )
        for each in every
    ]
    yield from place.files(
        "groups", "groups", "groups", list(paged(rows)), title="Groups", number=len(gathered.groups)
    )
    for each in every:
        yield from _group(place, gathered, each)


def _group(place: Place, gathered: Gathered, each: GroupHosts) -> Iterator[File]:
    title, verdict = headline(
        each.counts, len(each.hosts), not_changed=sum(one.is_not_changed for one in each.hosts)
    )
    ranked = sorted(
        each.failing.items(),
        key=lambda pair: (
            SEVERITIES.index(gathered.controls[pair[0]].severity),
            gathered.controls[pair[0]].place,
        ),
    )
    failing = [
        row("control", gathered.controls[slug], None, f"{number} of {len(each.hosts)}", "../")
        for slug, number in ranked
    ]
    listed = sorted(each.hosts, key=lambda one: one.rank)
    yield from place.files(
        f"groups/{each.file}",
        "groups",
        "group",
        list(paged(row("host", one, "../hosts/", plain(one.counts)) for one in listed)),
        title=shown(each.name),
        headline=title,
        verdict=verdict,
        share=compliance(each.counts),
        hosts=len(each.hosts),
        counts=plain(each.counts),
        failing=failing,
    )
