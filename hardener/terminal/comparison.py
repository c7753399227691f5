"""Show the changes of the controls between two audits with rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.comparison.finding import ChangeKind
from hardener.comparison.runs import Comparison, ControlChange
from hardener.model import Decisions, Status
from hardener.summary import hosts_by_reason
from hardener.terminal.parts import (
    KIND_STYLES,
    REST,
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
from hardener.terminal.verdict import explain_command, next_steps, score, totals
from hardener.text import line

# The order of the lists and of the result. The first kinds are counted even where there are none.
_LISTED = (
    ChangeKind.BROKEN,
    ChangeKind.APPLIES,
    ChangeKind.WORSE,
    ChangeKind.QUESTION,
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
    ChangeKind.APPLIES,
    ChangeKind.STILL_FAILING,
    ChangeKind.QUESTION,
    ChangeKind.UNDECIDED,
    ChangeKind.WAIVED,
    ChangeKind.DECIDED,
    ChangeKind.CHANGED,
)
_STILL_FAILING = {ChangeKind.WORSE: "more", ChangeKind.LESS: "fewer"}  # with more or fewer offenders
_ALWAYS_COUNTED = (ChangeKind.FIXED, ChangeKind.BROKEN, ChangeKind.STILL_FAILING)


def comparison_screen(
    comparison: Comparison, files: Mapping[str, Path], decisions: Decisions | None
) -> RenderableType:
    """Return the screen with the state before and after; the last lines stay in view."""
    if comparison.first is None:
        return Group(
            Text("No host has results before and after."), *host_list("Not compared", comparison.not_compared)
        )
    return Group(
        *header(comparison.hosts, comparison.first, comparison.benchmark),
        Fitting(_comparison_table(comparison), _comparison_list(comparison)),
        legend(),
        *host_list("The last run was undone or failed", comparison.last_runs),
        *(
            part
            for title, hosts in comparison.not_changed.lists.items()
            for part in host_list(title, hosts_by_reason(hosts), len(hosts))
        ),
        *host_list("Not compared", comparison.not_compared),
        *(part for kind in _LISTED for part in _changes(kind, comparison.changes(kind), comparison.hosts)),
        *decision_notes(comparison.decided, comparison.after, decisions),
        *files_written(files),
        *_verdict(comparison),
    )


def _comparison_table(comparison: Comparison) -> Table:
    rows = [*comparison.sections.items(), ("Total", (comparison.before, comparison.after))]
    table = sections_frame()
    cells = [_comparison_row(before, after) for _, (before, after) in rows]
    headings = ("Before", "After", "Pass", "Fail", "Other")
    for index, name in enumerate(headings):
        is_bar = index < 2
        justify: Literal["left", "right"] = "left" if is_bar else "right"
        table.add_column(name, footer=cells[-1][index], justify=justify, no_wrap=not is_bar)
    for (section, _), row in zip(rows[:-1], cells[:-1], strict=True):
        table.add_row(Text(line(section)), *row)
    return table


def _comparison_row(before: Mapping[Status, int], after: Mapping[Status, int]) -> tuple[RenderableType, ...]:
    def other(counts: Mapping[Status, int]) -> int:
        return sum(counts.get(status, 0) for status in (*REST, Status.ERROR))

    return (
        Share(before, 14),
        Share(after, 14),
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


def _comparison_list(comparison: Comparison) -> RenderableType:
    """List the sections for a terminal that the table does not fit into."""
    rows: list[RenderableType] = []
    total = (comparison.before, comparison.after)
    for section, (before, after) in (*comparison.sections.items(), ("Total", total)):
        rows.append(Text(line(section), style="bold"))
        for word, counts in (("before", before), ("after", after)):
            rows.append(Padding(Text(f"{word}: ").append_text(totals(counts)), (0, 0, 0, 2)))
    return Padding(Group(*rows), (1, 1))


def _verdict(comparison: Comparison) -> Iterator[RenderableType]:
    """Draw the verdict: the compliance before and after, and the number of controls by kind of change."""
    hosts, one = comparison.hosts, comparison.first
    title = f"{hosts} hosts" if hosts > 1 or one is None else line(one.host, 40)
    yield score(title, comparison.after, comparison.before)
    text = Text()
    others = {words: comparison.kinds[kind] for kind, words in _STILL_FAILING.items()}
    told = ", ".join(f"{number} with {words} offenders" for words, number in others.items() if number)
    for kind in _COUNTED:
        count, more = comparison.kinds[kind], ""
        if kind is ChangeKind.STILL_FAILING:
            count, more = count + sum(others.values()), f" ({told})" if told else ""
        if count or kind in _ALWAYS_COUNTED:
            style = f"bold {KIND_STYLES[kind][1]}" if count else "bright_black"
            text.append("   " if text else "").append(f"{count} {kind}{more}", style=style)
    yield Padding(text, (0, 1, 0, 3))
    kinds = (ChangeKind.BROKEN, ChangeKind.APPLIES, ChangeKind.STILL_FAILING)
    failing = [each for kind in kinds for each in comparison.changes(kind)]
    yield from next_steps([explain_command(each.id, comparison.benchmark) for each in failing[:1]])


def _changes(kind: ChangeKind, changes: Iterable[ControlChange], hosts: int) -> Iterator[RenderableType]:
    changes = list(changes)
    if not changes:
        return
    mark, colour = KIND_STYLES[kind]
    yield heading(kind.capitalize(), f"{len(changes)} controls" if hosts > 1 else len(changes), colour)
    table = control_list()
    for change in changes:
        what = Text(line(change.control.title_if(change.after.status)))
        if hosts > 1:
            what.append(f"  {change.hosts} of {hosts} hosts", style="bright_black")
        if kind is ChangeKind.CHANGED:
            what.append(f"  {change.before.status} → {change.after.status}", style=colour)
        if change.after.status is not Status.PASS:
            where = f"{change.host}: " if hosts > 1 else ""
            what.append(f"\n{where}{line(change.after.actual, 200) or 'no detail'}", style="bright_black")
        table.add_row(Text(mark, style=colour), Text(change.id), what)
    yield Padding(table, (0, 1))
