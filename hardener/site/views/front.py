"""Pages about whole inventories: the first page, and the overview of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hardener.comparison.previous_runs import Point, Since
from hardener.model import Status
from hardener.reports.lib.chart_data import columns, trend
from hardener.reports.lib.statuses import headline, plain
from hardener.site.fleet import Gathered
from hardener.site.place import INVENTORIES, Place, RunRow, file_name, numbered, pager
from hardener.site.rendering import ICON, STYLE, File, page, paged, row, shown
from hardener.site.views.parts import sections, shown_by_title, since_run
from hardener.summary import SEVERITIES, compliance

_WORST = 10
_NOTICES = 10
_CHANGES_SHOWN = 12
_NAMED = 10


class InventoryRow(NamedTuple):
    """An inventory on the first page."""

    name: str
    key: str
    last: RunRow
    points: Sequence[Point]

    @property
    def file(self) -> str:
        """Return the address of the inventory's first page."""
        return f"{INVENTORIES}/{file_name(self.key)}/index.html"


def front(inventories: Sequence[InventoryRow]) -> Iterator[File]:
    """Yield the first page: all inventories."""
    counts: Counter[Status] = Counter()
    for each in inventories:
        counts.update(each.last.counts)
    hosts = sum(each.last.hosts for each in inventories)
    not_changed = sum(each.last.not_begun + each.last.change_failed for each in inventories)
    title, verdict = headline(counts, hosts, not_changed=not_changed)
    rows = [
        row("inventory", each.file, shown(each.name), each.last, plain(each.last.counts), trend(each.points))
        for each in sorted(inventories, key=lambda each: each.name)
    ]
    pages = list(paged(rows))
    for number, shown_rows in enumerate(pages, 1):
        text = page(
            "front",
            title="Docker hosts",
            style=STYLE,
            icon=ICON,
            headline=title,
            verdict=verdict,
            share=compliance(counts),
            inventories=len(inventories),
            compliant=sum(each.last.headline[1] == "pass" for each in inventories),
            hosts=hosts,
            counts=plain(counts),
            rows=shown_rows,
            pager=pager("index", number, len(pages)),
            first=number == 1,
        )
        yield File(f"{numbered('index', number)}.html", text)


def overview(
    place: Place, last: RunRow, gathered: Gathered, since: Since | None, points: Sequence[Point]
) -> File:
    """Return the first page of an inventory."""
    summary = gathered.summary
    title, verdict = last.headline
    failing = [each for each in gathered.controls.values() if each.counts[Status.FAIL]]
    worst = [each for each in gathered.sorted_hosts() if any(each.toll)]
    return place.file(
        "index",
        "index",
        "inventory",
        title=shown(place.inventory),
        headline=title,
        verdict=verdict,
        run=last,
        share=compliance(last.counts),
        lead=_lead(last.hosts, len(gathered.controls), len(failing), len(summary.unreachable)),
        counts=plain(last.counts),
        sections=sections(summary),
        since=since and since_run(since, gathered.controls, _CHANGES_SHOWN),
        trend=trend(points),
        columns=columns([each.toll for each in gathered.hosts if not each.unreachable], len(SEVERITIES)),
        hosts=last.hosts,
        worst=[row("host", each, "hosts/", plain(each.counts), False) for each in worst[:_WORST]],
        unreachable=[
            (f"hosts/{each.file}.html", each.name, each.unreachable)
            for each in gathered.hosts
            if each.unreachable
        ][: _NAMED + 1],
        gone=len(summary.unreachable),
        not_changed=shown_by_title(summary, _NAMED),
        notices=[shown(each, 300) for each in summary.decided.notices(last.info.decisions)][:_NOTICES],
    )


def _lead(hosts: int, controls: int, failing: int, gone: int) -> str:
    """Return the result in one sentence."""
    text = f"{failing} of {controls} controls fail"
    if hosts != 1:
        text += f" on at least one of {hosts} hosts"
    return f"{text}; {gone} {'host' if gone == 1 else 'hosts'} could not be reached." if gone else f"{text}."
