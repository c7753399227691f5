"""Shared parts of the pages: totals by section, changes since a run, names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from hardener.comparison.finding import ChangeKind
from hardener.comparison.previous_runs import LABELS, Since
from hardener.reports.lib.statuses import WORDS, plain, section_title
from hardener.site.place import file_name
from hardener.site.rendering import shown
from hardener.summary import Summary, by_title
from hardener.text import first, utc

_NAMED = 10


def sections(summary: Summary) -> list[dict[str, Any]]:
    """Return the totals of each section."""
    return [
        {
            "title": section_title(name, summary.benchmark),
            "anchor": file_name(name),
            "counts": plain(counts),
            "total": sum(counts.values()),
        }
        for name, counts in summary.sections.items()
    ]


def shown_by_title(summary: Summary, most: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the hosts that were not changed as asked: by title and reason, at most some reasons each."""
    return [
        (title, [(shown(names, 2000), shown(why)) for names, why in alike[:most]])
        for title, alike in by_title(summary.not_changed)
    ]


def css_class(kind: ChangeKind) -> str:
    """Return the class of a kind of change in the style sheet."""
    return str(kind.name).lower()


def since_run(since: Since, slugs: Collection[str], most: int) -> dict[str, Any]:
    """Return the changes since the previous run.

    Args:
        since: the comparison with it.
        slugs: the controls that have a page.
        most: how many changes are listed.
    """
    changes = list(since.changes())
    return {
        "ended": utc(since.previous.ended),
        "run": file_name(since.previous.run_id),
        "compared": since.compared,
        "moves": [(css_class(kind), LABELS[kind], number) for kind, number in since.totals()],
        "changes": [
            {
                "key": css_class(each.kind),
                "id": each.id,
                "file": file_name(each.control.slug) if each.control.slug in slugs else "",
                "title": each.control.title_if(each.after.status),
                "before": WORDS[each.before.status],
                "after": WORDS[each.after.status],
                "status": each.after.status.value,
                "where": shown(each.host, 100) if each.hosts == 1 else f"{each.hosts} hosts",
                "actual": shown(each.after.actual) if each.hosts == 1 else "",
            }
            for each in changes[:most]
        ],
        "more": max(0, len(changes) - most),
        "new": name_hosts(since.new),
        "gone": name_hosts(since.gone),
        "not_compared": name_hosts([host for host, _ in since.not_compared]),
    }


def name_hosts(names: Sequence[str]) -> str:
    """Return ``3 hosts: a, b, c``; an empty text for no host."""
    if not names:
        return ""
    number = "1 host" if len(names) == 1 else f"{len(names)} hosts"
    return f"{number}: {', '.join(shown(name, 100) for name in first(names, _NAMED))}"
