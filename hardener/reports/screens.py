"""What the terminal shows, drawn with rich; ``terminal`` imports this when something is to be shown.

Every text goes in as ``Text``, never as markup: a container named ``[bold]`` stays that. Colour repeats what
words and shapes already say, so that nothing is lost without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.comparison.finding import ChangeKind
from hardener.comparison.runs import Comparison, ControlChange
from hardener.model import Assessment, Decisions, Severity, Status, Verdict
from hardener.reports.decisions import Tally
from hardener.reports.summary import SEVERITIES, Cases, Summary
from hardener.reports.wording import first
from hardener.text import line

_REST = (Status.MANUAL, Status.NOT_APPLICABLE, Status.WAIVED)
_COLOUR = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.MANUAL: "cyan",
    Status.NOT_APPLICABLE: "bright_black",
    Status.WAIVED: "yellow",
    Status.ERROR: "magenta",
}
_HEADING = {
    Status.PASS: "Pass",
    Status.FAIL: "Fail",
    Status.MANUAL: "Manual",
    Status.NOT_APPLICABLE: "N/A",
    Status.WAIVED: "Waived",
    Status.ERROR: "Error",
}
SEVERITY_STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "bright_black",
}
KIND_STYLES = {
    ChangeKind.BROKEN: ("▼", "red"),
    ChangeKind.WORSE: ("▼", "red"),
    ChangeKind.UNDECIDED: ("!", "magenta"),
    ChangeKind.WAIVED: ("~", "yellow"),
    ChangeKind.DECIDED: ("~", "yellow"),
    ChangeKind.CHANGED: ("~", "cyan"),
    ChangeKind.LESS: ("✔", "green"),
    ChangeKind.FIXED: ("✔", "green"),
    ChangeKind.STILL_FAILING: ("✘", "red"),
}
# The order of a comparison's lists, and of its result: what must not happen is counted even where it did not.
_LISTED = (
    ChangeKind.BROKEN,
    ChangeKind.WORSE,
    ChangeKind.UNDECIDED,
    ChangeKind.FIXED,
    ChangeKind.LESS,
    ChangeKind.STILL_FAILING,
    ChangeKind.WAIVED,
    ChangeKind.DECIDED,
    ChangeKind.CHANGED,
)
_COUNTED = (
    ChangeKind.FIXED,
    ChangeKind.BROKEN,
    ChangeKind.WORSE,
    ChangeKind.LESS,
    ChangeKind.STILL_FAILING,
    ChangeKind.UNDECIDED,
    ChangeKind.WAIVED,
    ChangeKind.DECIDED,
    ChangeKind.CHANGED,
)
_ALWAYS_COUNTED = (ChangeKind.FIXED, ChangeKind.BROKEN, ChangeKind.STILL_FAILING)
_HOSTS_SHOWN = 10
_NOTICES_SHOWN = 30
_REMARKS_SHOWN = 3  # of one control


def summary_screen(
    summary: Summary, files: Mapping[str, Path], decisions: Decisions | None
) -> RenderableType:
    """The end of an audit."""
    if summary.first is None:
        return Text("No host was assessed.")
    return Group(
        *_header(summary.hosts, summary.first, summary.benchmark),
        _sections_table(summary),
        _key(),
        *_cases("Failing", summary.cases(Status.FAIL), summary),
        *_cases("Could not be decided", summary.cases(Status.ERROR), summary),
        *_worst(summary),
        *_hosts("The last change does not stand", summary.last_runs),
        *_hosts("Unreachable: all their controls count as errors", summary.unreachable),
        *_manual(summary),
        *_decided(summary.decided, summary.counts, decisions),
        *files_written(files),
    )


def comparison_screen(
    comparison: Comparison, files: Mapping[str, Path], decisions: Decisions | None
) -> RenderableType:
    """Before and after."""
    if comparison.first is None:
        return Group(Text("No host was assessed twice."), *_hosts("Not compared", comparison.not_compared))
    return Group(
        *_header(comparison.hosts, comparison.first, comparison.benchmark),
        *_result(comparison),
        _comparison_table(comparison),
        _key(),
        *_hosts("The last change does not stand", comparison.last_runs),
        *_hosts("Not compared", comparison.not_compared),
        *(part for kind in _LISTED for part in _changes(kind, comparison.changes(kind), comparison.hosts)),
        *_decided(comparison.decided, comparison.after, decisions),
        *files_written(files),
    )


# --- parts of both --------------------------------------------------------------------------------------


def _header(hosts: int, one: Assessment, benchmark: str) -> Iterator[RenderableType]:
    title = Text(line(one.host) if hosts == 1 else f"{hosts} hosts", style="bold")
    title.append(f"  {line(benchmark)}", style="not bold cyan")
    yield Padding(title, (1, 1, 0, 1))
    if hosts == 1 and one.facts:
        known = [
            one.facts.get("os", ""),
            f"Docker {one.facts.get('docker', '')}",
            one.facts.get("kernel", ""),
        ]
        yield Padding(Text(line(" · ".join(known)), style="bright_black"), (0, 1))


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=True, pad_edge=False, show_footer=True)
    table.add_column("Section", footer=Text("Total", style="bold"), min_width=12, no_wrap=True)
    return table


def _bar(counts: Mapping[Status, int], width: int) -> Text:
    """Shares of pass, fail, error and the rest; what is there at all is seen."""
    parts = (
        ("█", _COLOUR[Status.PASS], counts.get(Status.PASS, 0)),
        ("▒", _COLOUR[Status.FAIL], counts.get(Status.FAIL, 0)),
        ("!", _COLOUR[Status.ERROR], counts.get(Status.ERROR, 0)),
        ("·", "bright_black", sum(counts.get(status, 0) for status in _REST)),
    )
    bar = Text()
    for (glyph, colour, _), cells in zip(parts, _cells([part[2] for part in parts], width), strict=True):
        bar.append(glyph * cells, style=colour)
    return bar


class _Share:
    """A bar that takes what width there is, so that a table makes it narrower before it cuts numbers."""

    def __init__(self, counts: Mapping[Status, int], width: int) -> None:
        self._counts = counts
        self._width = width

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(4, options.max_width), min(self._width, options.max_width))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield _bar(self._counts, min(self._width, options.max_width))


def _cells(amounts: Sequence[int], width: int) -> list[int]:
    """Divide a width in proportion, at least one cell for every amount that is not zero."""
    total = sum(amounts)
    cells = [max(1, amount * width // total) if amount else 0 for amount in amounts]
    while total and (gap := width - sum(cells)):
        if gap > 0:
            short = [amount * width / total - cell for amount, cell in zip(amounts, cells, strict=True)]
            cells[short.index(max(short))] += 1
        else:
            cells[cells.index(max(cells))] -= 1
    return cells


def _key() -> RenderableType:
    key = Text("  ")
    for glyph, colour, words in (
        ("█", _COLOUR[Status.PASS], " pass   "),
        ("▒", _COLOUR[Status.FAIL], " fail   "),
        ("!", _COLOUR[Status.ERROR], " error   "),
        ("·", "bright_black", " manual, not applicable or waived"),
    ):
        key.append(glyph, style=colour).append(words, style="bright_black")
    return key


def _section(title: str, count: object, style: str) -> RenderableType:
    return Padding(Text(f"{title} ({count})", style=f"bold {style}"), (1, 1, 0, 1))


def _list() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=6)  # 1.1.10: the lists stand in line with each other
    table.add_column(ratio=1, overflow="fold")
    return table


def _hosts(title: str, hosts: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
    if hosts:
        yield _section(title, len(hosts), "magenta")
        shown = first([f"{host}: {why}" for host, why in hosts], _HOSTS_SHOWN)
        yield Padding(Text("\n".join(shown)), (0, 1))


def _decided(
    tally: Tally, counts: Mapping[Status, int], decisions: Decisions | None
) -> Iterator[RenderableType]:
    """How much does not fail by somebody's decision, and the decisions that somebody has to look at."""
    colour = _COLOUR[Status.WAIVED]
    parts = [f"{waived} waived"] if (waived := counts.get(Status.WAIVED, 0)) else []
    if tally.partly:
        parts.append(f"some objects waived in {tally.partly} more")
    if tally.attested:
        parts.append(f"{tally.attested} passing on a person's word")
    if parts:
        text = f"By decision: {', '.join(parts)}; the reports say whose."
        yield Padding(Text(text, style=colour), (1, 1, 0, 1))
    if notices := tally.notices(decisions):
        yield _section("Waivers and attestations to look at", len(notices), colour)
        yield Padding(Text("\n".join(first(notices, _NOTICES_SHOWN))), (0, 1))


def files_written(files: Mapping[str, Path]) -> Iterator[RenderableType]:
    """The files, by what they are called."""
    if files:
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, path in files.items():
            table.add_row(Text(name, style="bright_black"), Text(line(str(path), 4096), overflow="fold"))
        yield Padding(table, (1, 1, 0, 1))


# --- the audit ------------------------------------------------------------------------------------------


def _sections_table(summary: Summary) -> Table:
    table = _table()
    for status in Status:
        table.add_column(
            _HEADING[status],
            footer=_number(summary.counts[status], status),
            justify="right",
            no_wrap=True,
            min_width=len(_HEADING[status]),  # where it is narrow, the bar goes and not the numbers
        )
    table.add_column("", footer=_bar(summary.counts, 16), no_wrap=True)
    for section, counts in summary.sections.items():
        numbers = (_number(counts[status], status) for status in Status)
        table.add_row(Text(line(section)), *numbers, _bar(counts, 16))
    return table


def _number(count: int, status: Status) -> Text:
    return Text(str(count), style=_COLOUR[status] if count else "bright_black")


def _cases(title: str, cases: Sequence[Cases], summary: Summary) -> Iterator[RenderableType]:
    if not cases:
        return
    yield _section(title, len(cases), "red" if title == "Failing" else "magenta")
    table = _list()
    for each in cases:
        severity = each.control.severity
        what = Text(line(each.control.title))
        if summary.hosts == 1:
            detail = _detail(each.examples[0][1])
        else:
            names = ", ".join(line(host, 60) for host, _ in each.examples)
            more = each.hosts - len(each.examples)
            detail = f"{each.hosts} of {summary.hosts} hosts: {names}{f' +{more} more' if more else ''}"
        what.append(f"\n{detail}", style="bright_black")
        for said in first(list(each.remarks), _REMARKS_SHOWN):
            what.append(f"\n{line(said, 200)}", style=_COLOUR[Status.WAIVED])
        table.add_row(Text(f"{severity:<8}", style=SEVERITY_STYLES[severity]), Text(each.id), what)
    yield Padding(table, (0, 1))


def _detail(verdict: Verdict) -> str:
    """What was found; a verdict's ``actual`` stands alone, so the offenders are left to the reports."""
    return line(verdict.actual, 200) or "no detail"


def _worst(summary: Summary) -> Iterator[RenderableType]:
    worst = summary.worst()
    if summary.hosts == 1 or not worst:
        return
    yield _section("Worst hosts", len(worst), "red")
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
        yield Padding(Text(text, style=_COLOUR[Status.MANUAL]), (1, 1, 0, 1))


# --- before and after -----------------------------------------------------------------------------------


def _comparison_table(comparison: Comparison) -> Table:
    rows = [*comparison.sections.items(), ("Total", (comparison.before, comparison.after))]
    table = _table()
    cells = [_comparison_row(before, after) for _, (before, after) in rows]
    headings = ("Before", "After", "Pass", "Fail", "Other")
    for index, heading in enumerate(headings):
        is_bar = index < 2
        justify: Literal["left", "right"] = "left" if is_bar else "right"
        table.add_column(heading, footer=cells[-1][index], justify=justify, no_wrap=not is_bar)
    for (section, _), row in zip(rows[:-1], cells[:-1], strict=True):
        table.add_row(Text(line(section)), *row)
    return table


def _comparison_row(before: Mapping[Status, int], after: Mapping[Status, int]) -> tuple[RenderableType, ...]:
    def other(counts: Mapping[Status, int]) -> int:
        return sum(counts.get(status, 0) for status in (*_REST, Status.ERROR))

    return (
        _Share(before, 14),
        _Share(after, 14),
        _step(before.get(Status.PASS, 0), after.get(Status.PASS, 0), better="more"),
        _step(before.get(Status.FAIL, 0), after.get(Status.FAIL, 0), better="less"),
        _step(other(before), other(after), better=""),
    )


def _step(before: int, after: int, *, better: str) -> Text:
    if before == after:
        return Text(str(after), style="bright_black")
    good = (after > before) is (better == "more")
    colour = "cyan" if not better else "green" if good else "red"
    return Text(f"{before} → ", style="bright_black").append(str(after), style=f"bold {colour}")


def _result(comparison: Comparison) -> Iterator[RenderableType]:
    """The result in one line."""
    text = Text()
    for kind in _COUNTED:
        count = comparison.kinds[kind]
        if count or kind in _ALWAYS_COUNTED:
            style = f"bold {KIND_STYLES[kind][1]}" if count else "bright_black"
            text.append("   " if text else "").append(f"{count} {kind}", style=style)
    yield Padding(text, (1, 1, 0, 1))


def _changes(kind: ChangeKind, changes: Iterable[ControlChange], hosts: int) -> Iterator[RenderableType]:
    changes = list(changes)
    if not changes:
        return
    mark, colour = KIND_STYLES[kind]
    yield _section(kind.capitalize(), f"{len(changes)} controls" if hosts > 1 else len(changes), colour)
    table = _list()
    for change in changes:
        what = Text(line(change.control.title))
        if hosts > 1:
            what.append(f"  {change.hosts} of {hosts} hosts", style="bright_black")
        if kind is ChangeKind.CHANGED:
            what.append(f"  {change.before.status} → {change.after.status}", style=colour)
        if change.after.status is not Status.PASS:
            where = f"{change.host}: " if hosts > 1 else ""
            what.append(f"\n{where}{_detail(change.after)}", style="bright_black")
        table.add_row(Text(mark, style=colour), Text(change.id), what)
    yield Padding(table, (0, 1))
