"""Pages about runs: the list, and a page for each run with the changes since the previous run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hardener.comparison.finding import CHANGES, ChangeKind
from hardener.comparison.previous_runs import LABELS, Since
from hardener.reports.lib.statuses import plain
from hardener.site.place import Place, RunRow, file_name
from hardener.site.rendering import File, paged, row, shown
from hardener.site.views.parts import css_class, sections, shown_by_title, since_run
from hardener.summary import Summary, compliance
from hardener.text import scalar, utc

_CHANGES_SHOWN = 200
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
            [(css_class(kind), LABELS[kind], one.kinds[kind]) for kind in CHANGES if one.kinds.get(kind)],
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
        sections=sections(summary),
        since=since and since_run(since, place.controls, _CHANGES_SHOWN),
        changed=len(changed),
        unreachable=[
            (shown(name), shown(reason)) for name, reason in summary.unreachable[:_UNREACHABLE_SHOWN]
        ],
        not_changed=shown_by_title(summary, _REASONS),
        started=utc(each.info.started),
        digests=each.info.decisions.digests if each.info.decisions else {},
    )
