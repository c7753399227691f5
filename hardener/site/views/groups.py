"""Pages about the groups of an inventory: the list, and a page for each group with its hosts."""

from __future__ import annotations

from collections.abc import Iterator

from hardener.reports.lib.statuses import headline, plain
from hardener.site.fleet import Gathered, GroupHosts
from hardener.site.place import Place
from hardener.site.rendering import File, paged, row, shown
from hardener.summary import SEVERITIES, compliance


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
