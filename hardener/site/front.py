"""Pages about whole inventories and runs: the first page, the overview of each inventory, its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hardener.comparison.finding import CHANGES, ChangeKind
from hardener.comparison.previous_runs import LABELS, Point, Since
from hardener.model import Status
from hardener.reports.lib.chart_data import columns, trend
from hardener.reports.lib.overview import kind_key, lead, section_records, severe_records, since_record
from hardener.reports.lib.statuses import headline, plain
from hardener.site.fleet import Gathered
from hardener.site.place import Place, RunRow, file_name, inventory_folder, numbered, pager
from hardener.site.rendering import ICON, STYLE, File, page, paged, row, shown
from hardener.summary import SEVERITIES, Summary, by_title, compliance
from hardener.text import scalar, utc

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
        return f"{inventory_folder(self.key)}/index.html"


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
    worst = [each for each in gathered.sorted_hosts() if any(each.toll)][:_WORST]
    highest = max((sum(each.toll) for each in worst), default=0)
    return place.file(
        "index",
        "index",
        "inventory",
        title=shown(place.inventory),
        headline=title,
        verdict=verdict,
        run=last,
        share=compliance(last.counts),
        severe=severe_records(summary, lambda slug: f"controls/{file_name(slug)}.html"),
        lead=lead(summary, len(gathered.controls)),
        counts=plain(last.counts),
        sections=list(section_records(summary, summary.benchmark)),
        since=since and since_record(since, hosts=last.hosts, most=_CHANGES_SHOWN),
        trend=trend(points),
        columns=columns([each.toll for each in gathered.hosts if not each.unreachable], len(SEVERITIES)),
        hosts=last.hosts,
        worst=[row("host", each, "hosts/", plain(each.counts), highest) for each in worst],
        unreachable=[
            (f"hosts/{each.file}.html", each.name, each.unreachable)
            for each in gathered.hosts
            if each.unreachable
        ][: _NAMED + 1],
        gone=len(summary.unreachable),
        not_changed=_shown_by_title(summary, _NAMED),
        notices=[shown(each, 300) for each in summary.decided.notices(last.info.decisions)][:_NOTICES],
    )


def _shown_by_title(summary: Summary, most: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the hosts that were not changed as asked: by title and reason, at most some reasons each."""
    return [
        (title, [(shown(names, 2000), shown(why)) for names, why in alike[:most]])
        for title, alike in by_title(summary.not_changed)
    ]


_CHANGES_OF_A_RUN = 200
_UNREACHABLE_SHOWN = 100
_REASONS = 20


def runs(place: Place, rows: Sequence[RunRow]) -> Iterator[File]:
    """Yield the pages that list the runs, newest first."""
    listed = [row("run", each, compliance(each.counts), plain(each.counts)) for each in rows]
    yield from place.files("runs", "runs", "runs", list(paged(listed)), title="Runs", number=len(rows))


class HostChanges(NamedTuple):
    """A host on which something changed in a run: how many controls, by kind."""

    name: str
    kinds: Mapping[ChangeKind, int]


def run(
    place: Place,
    each: RunRow,
    summary: Summary,
    since: Since | None,
    changed: Sequence[HostChanges],
    *,
    linked: frozenset[str],
) -> Iterator[File]:
    """Yield the pages of a run.

    Args:
        place: the inventory.
        each: the run.
        summary: its totals.
        since: the changes since the previous run; None for the first of its kind.
        changed: the hosts with changes.
        linked: the hosts that have a page.
    """
    title, verdict = each.headline
    rows = [
        row(
            "changed_host",
            f"../hosts/{file_name(one.name)}.html" if scalar(one.name) in linked else "",
            shown(one.name),
            [(kind_key(kind), LABELS[kind], one.kinds[kind]) for kind in CHANGES if one.kinds.get(kind)],
        )
        for one in changed
    ]
    yield from place.files(
        f"runs/{each.file}",
        "runs",
        "run",
        list(paged(rows)),
        title=f"{each.verb} of {each.ended.replace('T', ' ').replace('Z', ' UTC')}",
        headline=title,
        verdict=verdict,
        run=each,
        share=compliance(each.counts),
        counts=plain(each.counts),
        sections=list(section_records(summary, summary.benchmark)),
        since=since and since_record(since, hosts=each.hosts, most=_CHANGES_OF_A_RUN),
        previous=file_name(since.previous.run_id) if since else "",
        changed=len(changed),
        unreachable=[
            (shown(name), shown(reason)) for name, reason in summary.unreachable[:_UNREACHABLE_SHOWN]
        ],
        not_changed=_shown_by_title(summary, _REASONS),
        started=utc(each.info.started),
        digests=each.info.decisions.digests if each.info.decisions else {},
    )
