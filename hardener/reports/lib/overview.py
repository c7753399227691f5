"""Overviews of the HTML report and of the site: result, sections, changes, containers, for the templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hardener.catalogue.words import IMPACTS
from hardener.comparison.finding import ChangeKind
from hardener.comparison.previous_runs import LABELS, Since
from hardener.comparison.runs import ControlChange
from hardener.model import Severity, Status, WorkloadRisk
from hardener.reports.lib.statuses import WORDS, plain, section_title
from hardener.summary import Summary
from hardener.text import line, utc

_NAMES_SHOWN = 5
_SEVERE = (Severity.CRITICAL, Severity.HIGH)
_SEVERE_SHOWN = 6
_FOUND_SHOWN = 2


def lead(summary: Summary, controls: int) -> str:
    """Return the result in one sentence.

    Args:
        summary: the run.
        controls: the number of its controls.
    """
    if not summary.hosts:
        return "No host was assessed."
    open_ = len(summary.cases(Status.FAIL))
    parts = [f"{open_} of {controls} controls fail"]
    if summary.hosts != 1:
        parts[0] += f" on at least one of {summary.hosts} hosts"
    if gone := len(summary.unreachable):
        parts.append(f"{gone} {'host' if gone == 1 else 'hosts'} could not be reached")
    if waiting := len(summary.not_changed):
        what = "host was" if waiting == 1 else "hosts were"
        parts.append(f"{waiting} {what} left without their change")
    if undecided := len(summary.cases(Status.ERROR)):
        parts.append(f"{undecided} {'control' if undecided == 1 else 'controls'} could not be evaluated")
    return f"{'; '.join(parts)}."


def severe_records(summary: Summary, href: Callable[[str], str]) -> dict[str, Any]:
    """Return the controls that fail with a critical or high severity: what was found, where, what mends it.

    Args:
        summary: the run.
        href: returns the address of a control's findings, by its slug.
    """
    cases = [each for each in summary.cases(Status.FAIL) if each.severity in _SEVERE]
    return {
        "counts": [(each.value, summary.failing[each]) for each in _SEVERE if summary.failing[each]],
        "rows": [
            {
                "id": each.id,
                "title": each.title,
                "href": href(each.control.slug),
                "severity": each.severity.value,
                "found": each.found(summary.hosts, _FOUND_SHOWN),
                "cost": IMPACTS[each.control.remediation.impact] if each.control.remediation else "",
            }
            for each in cases[:_SEVERE_SHOWN]
        ],
        "more": max(0, len(cases) - _SEVERE_SHOWN),
    }


def section_records(summary: Summary, benchmark: str) -> Iterator[dict[str, Any]]:
    """Yield the totals of each section."""
    for name, counts in summary.sections.items():
        yield {
            "key": name,
            "title": section_title(name, benchmark),
            "counts": plain(counts),
            "total": counts.total(),
        }


def since_record(since: Since, *, hosts: int, most: int) -> dict[str, Any]:
    """Return the changes since the previous run.

    Args:
        since: the comparison with it.
        hosts: the number of hosts of the run.
        most: how many changes are listed.
    """
    changes = list(since.changes())
    return {
        "ended": utc(since.previous.ended),
        "compared": since.compared,
        "moves": [
            {"key": kind_key(kind), "words": LABELS[kind], "number": number}
            for kind, number in since.totals()
        ],
        "changes": [_change(each, hosts) for each in changes[:most]],
        "more": max(0, len(changes) - most),
        "new": _names(since.new),
        "gone": _names(since.gone),
        "not_compared": _names([host for host, _ in since.not_compared]),
    }


def kind_key(kind: ChangeKind) -> str:
    """Return the name of a kind of change, as addresses and the style sheet use it."""
    return kind.name.lower()


def workload_record(each: WorkloadRisk) -> dict[str, Any]:
    """Return a container with its risk."""
    return {
        "name": line(each.container, 100),
        "image": line(each.image, 100),
        "level": each.level.value,
        "points": each.points,
        "why": [line(text) for text in each.why],
        "first": [line(text) for text in each.first],
    }


def _change(change: ControlChange, hosts: int) -> dict[str, Any]:
    where = change.host if change.hosts == 1 else f"{change.hosts} hosts"
    return {
        "key": kind_key(change.kind),
        "id": change.id,
        "slug": change.control.slug,
        "title": change.control.title_if(change.after.status),
        "before": WORDS[change.before.status],
        "after": WORDS[change.after.status],
        "status": change.after.status.value,
        "where": where if hosts > 1 else "",
        "actual": line(change.after.actual, 200) if change.hosts == 1 else "",
    }


def _names(names: Sequence[str]) -> str:
    """Return ``3 hosts: a, b, c``; an empty text for no host."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    number = "1 host" if len(names) == 1 else f"{len(names)} hosts"
    return f"{number}: {', '.join(names[:_NAMES_SHOWN])}{more}"
