"""Show the result of an audit with rich."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.model import Decisions, Status
from hardener.summary import SEVERITIES, Cases, Summary
from hardener.terminal.parts import (
    SEVERITY_STYLES,
    STATUS_COLOURS,
    control_list,
    decision_notes,
    files_written,
    header,
    heading,
    host_list,
    legend,
    sections_frame,
    status_bar,
    verdict_detail,
)
from hardener.text import first, line

_HEADING = {
    Status.PASS: "Pass",
    Status.FAIL: "Fail",
    Status.MANUAL: "Manual",
    Status.NOT_APPLICABLE: "N/A",
    Status.WAIVED: "Waived",
    Status.ERROR: "Error",
}
_REMARKS_SHOWN = 3  # examples of one control


def summary_screen(
    summary: Summary, files: Mapping[str, Path], decisions: Decisions | None
) -> RenderableType:
    """Return the screen at the end of an audit."""
    if summary.first is None:
        return Text("No host was assessed.")
    return Group(
        *header(summary.hosts, summary.first, summary.benchmark),
        _sections_table(summary),
        legend(),
        *_cases("Failing", summary.cases(Status.FAIL), summary),
        *_cases("Could not be decided", summary.cases(Status.ERROR), summary),
        *_worst(summary),
        *host_list("The last change does not stand", summary.last_runs),
        *host_list("Unreachable: all their controls count as errors", summary.unreachable),
        *_manual(summary),
        *decision_notes(summary.decided, summary.counts, decisions),
        *files_written(files),
    )


def _sections_table(summary: Summary) -> Table:
    table = sections_frame()
    for status in Status:
        table.add_column(
            _HEADING[status],
            footer=_number(summary.counts[status], status),
            justify="right",
            no_wrap=True,
            min_width=len(_HEADING[status]),  # On narrow terminals drop the bar, not the numbers.
        )
    table.add_column("", footer=status_bar(summary.counts, 16), no_wrap=True)
    for section, counts in summary.sections.items():
        numbers = (_number(counts[status], status) for status in Status)
        table.add_row(Text(line(section)), *numbers, status_bar(counts, 16))
    return table


def _number(count: int, status: Status) -> Text:
    return Text(str(count), style=STATUS_COLOURS[status] if count else "bright_black")


def _cases(title: str, cases: Sequence[Cases], summary: Summary) -> Iterator[RenderableType]:
    if not cases:
        return
    yield heading(title, len(cases), "red" if title == "Failing" else "magenta")
    table = control_list()
    for each in cases:
        severity = each.severity
        what = Text(line(each.control.title))
        if summary.hosts == 1:
            detail = verdict_detail(each.examples[0][1])
        else:
            names = ", ".join(line(host, 60) for host, _ in each.examples)
            more = each.hosts - len(each.examples)
            detail = f"{each.hosts} of {summary.hosts} hosts: {names}{f' +{more} more' if more else ''}"
        what.append(f"\n{detail}", style="bright_black")
        for said in first(list(each.remarks), _REMARKS_SHOWN):
            what.append(f"\n{line(said, 200)}", style=STATUS_COLOURS[Status.WAIVED])
        table.add_row(Text(f"{severity:<8}", style=SEVERITY_STYLES[severity]), Text(each.id), what)
    yield Padding(table, (0, 1))


def _worst(summary: Summary) -> Iterator[RenderableType]:
    worst = summary.worst()
    if summary.hosts == 1 or not worst:
        return
    yield heading("Worst hosts", len(worst), "red")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bright_black")
    table.add_column("host", overflow="fold")
    for severity in SEVERITIES:
        table.add_column(severity, justify="right")
    for toll in worst:
        numbers = zip(SEVERITIES, toll.by_severity, strict=True)
        table.add_row(
            Text(toll.host),
            *(Text(str(n), style=SEVERITY_STYLES[each] if n else "bright_black") for each, n in numbers),
        )
    yield Padding(table, (0, 1))


def _manual(summary: Summary) -> Iterator[RenderableType]:
    if count := summary.counts[Status.MANUAL]:
        text = f"{count} manual: a person has to look; the reports say at what."
        yield Padding(Text(text, style=STATUS_COLOURS[Status.MANUAL]), (1, 1, 0, 1))
