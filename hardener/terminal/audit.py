"""Show the result of an audit with rich."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.model import Decisions, Status
from hardener.summary import SEVERITIES, Cause, ControlCases, HostScore, Summary, hosts_by_reason
from hardener.terminal.parts import (
    SEVERITY_STYLES,
    STATUS_COLOURS,
    Fitting,
    Share,
    control_list,
    decision_notes,
    files_written,
    header,
    heading,
    host_list,
    legend,
    sections_frame,
)
from hardener.terminal.verdict import cause_line, totals, verdict
from hardener.text import first, line

_HEADING = {
    Status.PASS: "Pass",
    Status.FAIL: "Fail",
    Status.MANUAL: "Manual",
    Status.NOT_APPLICABLE: "N/A",
    Status.WAIVED: "Waived",
    Status.ERROR: "Error",
}
_TITLES = {
    Status.FAIL: "Failing",
    Status.ERROR: "Could not be decided",
    Status.MANUAL: "A person has to decide",
    Status.WAIVED: "Waived",
    Status.NOT_APPLICABLE: "Not applicable",
    Status.PASS: "Passing",
}
_SHOWN = 3  # different findings of one control
_REMARKS_SHOWN = 3  # examples of one control


def summary_screen(
    summary: Summary, files: Mapping[str, Path], decisions: Decisions | None, hosts_option: str = ""
) -> RenderableType:
    """Return the screen at the end of an audit: details first, because the last lines stay in view."""
    if summary.first is None:
        return Text("No host was assessed.")
    return Group(
        *header(summary.hosts, summary.first, summary.benchmark),
        Fitting(_sections_table(summary), _sections_list(summary)),
        legend(),
        *(part for status in _TITLES if status in summary.listed for part in _listed(status, summary)),
        *_worst(summary),
        *host_list("The last run was undone or failed", summary.last_runs),
        *(
            part
            for title, hosts in summary.not_changed.lists.items()
            for part in host_list(title, hosts_by_reason(hosts), len(hosts))
        ),
        *host_list(
            "Not audited: all their controls count as errors",
            hosts_by_reason(summary.unreachable),
            len(summary.unreachable),
        ),
        *_manual(summary, is_kept=bool(hosts_option)),
        *decision_notes(summary.decided, summary.counts, decisions),
        *files_written(files),
        *verdict(summary, hosts_option),
    )


def _sections_table(summary: Summary) -> Table:
    table = sections_frame()
    for status in Status:
        table.add_column(
            _HEADING[status],
            footer=_number(summary.counts[status], status),
            justify="right",
            no_wrap=True,
            min_width=len(_HEADING[status]),
        )
    table.add_column("", footer=Share(summary.counts, 16))
    for section, counts in summary.sections.items():
        numbers = (_number(counts[status], status) for status in Status)
        table.add_row(Text(line(section)), *numbers, Share(counts, 16))
    return table


def _sections_list(summary: Summary) -> RenderableType:
    """List the sections for a terminal that the table does not fit into."""
    rows: list[RenderableType] = []
    for section, counts in (*summary.sections.items(), ("Total", summary.counts)):
        rows += (Text(line(section), style="bold"), Padding(totals(counts), (0, 0, 0, 2)))
    return Padding(Group(*rows), (1, 1))


def _number(count: int, status: Status) -> Text:
    return Text(str(count), style=STATUS_COLOURS[status] if count else "bright_black")


def _listed(status: Status, summary: Summary) -> Iterator[RenderableType]:
    cases = summary.cases(status)
    if not cases:
        return
    yield heading(_TITLES[status], len(cases), STATUS_COLOURS[status])
    shared = _shared_causes(summary) if status is Status.ERROR else []
    for cause in shared:
        text = Text(cause_line(cause, is_fleet=summary.hosts > 1))
        text.append(
            f"\n{', '.join(cause.controls[place] for place in sorted(cause.controls))}", "bright_black"
        )
        yield Padding(text, (0, 1))
    explained = {place for cause in shared for place in cause.controls}
    table = control_list()
    for each in cases:
        if each.place not in explained:
            table.add_row(*_row(each, summary))
    if table.row_count:
        yield Padding(table, (1 if shared else 0, 1, 0, 1))


def _shared_causes(summary: Summary) -> list[Cause]:
    """Return the reasons for which several controls could not be decided on audited hosts."""
    return [cause for cause in summary.causes() if len(cause.controls) > 1 and not cause.unreachable]


def _row(each: ControlCases, summary: Summary) -> tuple[Text, Text, Text]:
    what = Text(line(each.title))
    for text in each.found(summary.hosts, _SHOWN):
        what.append(f"\n{text}", style="bright_black")
    for said in first(list(each.remarks), _REMARKS_SHOWN):
        what.append(f"\n{line(said, 200)}", style=STATUS_COLOURS[Status.WAIVED])
    mark = Text(f"{each.severity:<8}", style=SEVERITY_STYLES[each.severity])
    return mark, Text(each.id), what


def _worst(summary: Summary) -> Iterator[RenderableType]:
    worst = summary.worst()
    if summary.hosts == 1 or not worst:
        return
    yield heading("Worst hosts", len(worst), "red")
    yield Padding(Fitting(_worst_table(worst), _worst_list(worst)), (0, 1))


def _worst_table(worst: Sequence[HostScore]) -> Table:
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
    return table


def _worst_list(worst: Sequence[HostScore]) -> RenderableType:
    text = Text()
    for toll in worst:
        numbers = zip(SEVERITIES, toll.by_severity, strict=True)
        failing = ", ".join(f"{n} {each}" for each, n in numbers if n)
        text.append("\n" if text else "").append(f"{toll.host}: {failing}")
    return text


def _manual(summary: Summary, *, is_kept: bool) -> Iterator[RenderableType]:
    """Count the manual controls, if they are not listed."""
    if (count := summary.counts[Status.MANUAL]) and Status.MANUAL not in summary.listed:
        where = "`hardener show --status manual` lists them" if is_kept else "the reports list them"
        text = f"{count} manual: a person has to decide; {where}."
        yield Padding(Text(text, style=STATUS_COLOURS[Status.MANUAL]), (1, 1, 0, 1))
