"""Show a plan with rich: the changes on each host, their impact, and the controls that stay failing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.model import Impact
from hardener.plan import Decision, Fate, Outlook, Withheld
from hardener.terminal.unified_diff import COLOURS
from hardener.text import block, first, line

_HOSTS_SHOWN = 10
_NARROW = 60  # columns; with less, the text beside an impact would have too few
_IDS = 20  # columns for the ids of the controls of a step
_FATES = {
    Fate.CHANGE: ("Would be changed", "green"),
    Fate.HELD: ("Held: the impact exceeds what is allowed", "yellow"),
    Fate.BLOCKED: ("Blocked on this host", "red"),
    Fate.UNCHANGED: ("Nothing to change, but the control still fails", "magenta"),
    Fate.UNKNOWN: ("Not known: the host gave no answer", "magenta"),
}
_IMPACTS = {Impact.NONE: "bright_black", Impact.RELOAD: "cyan", Impact.DAEMON_RESTART: "yellow"}


def show(outlooks: Sequence[Outlook], console: Console, *, benchmark: str) -> None:
    """Show the plans of some hosts; hosts with equal plans share a section."""
    alike: dict[object, list[Outlook]] = {}
    for outlook in outlooks:
        alike.setdefault(_content(outlook), []).append(outlook)
    for group in alike.values():
        for part in _hosts(group, benchmark, narrow=console.width < _NARROW):
            # Never wrap a line of a diff.
            console.print(part, soft_wrap=isinstance(part, Text))


def _content(outlook: Outlook) -> object:
    decisions = tuple((each.step.variable, each.fate, each.impact, each.reason) for each in outlook.decisions)
    withheld = tuple((each.step.variable, each.reason) for each in outlook.plan.withheld)
    result = outlook.result
    said = (result.changes, result.activations, outlook.left, result.notes, outlook.failure)
    return decisions, withheld, said


def _hosts(group: Sequence[Outlook], benchmark: str, *, narrow: bool) -> Iterator[RenderableType]:
    outlook = group[0]
    names = first([line(each.host, 60) for each in group], _HOSTS_SHOWN)
    yield Padding(Text(", ".join(names), style="bold"), (1, 1, 0, 1))
    if outlook.failure:
        yield Padding(Text(f"no plan: {line(outlook.failure)}", style="magenta"), (0, 1))
    for fate, (title, colour) in _FATES.items():
        decisions = [each for each in outlook.decisions if each.fate is fate]
        if decisions:
            count = sum(len(each.step.findings) for each in decisions)
            yield Padding(Text(f"{title} ({count})", style=f"bold {colour}"), (1, 1, 0, 1))
            yield Padding(_decisions(decisions, benchmark, narrow=narrow), (0, 1))
    if withheld := outlook.plan.withheld:
        count = sum(len(each.step.findings) for each in withheld)
        yield Padding(
            Text(f"Not changed, because of waived controls ({count})", style="bold yellow"), (1, 1, 0, 1)
        )
        yield Padding(_withheld(withheld, benchmark), (0, 1))
    if outlook.plan.beyond:
        beyond = Text(f"Not remediated by any role ({len(outlook.plan.beyond)})", style="bold red")
        ids = ", ".join(finding.control.id_in(benchmark) for finding in outlook.plan.beyond)
        beyond.append(f"  {ids}\n", style="not bold default")
        beyond.append("`hardener explain ID` says what to do", style="not bold bright_black")
        yield Padding(beyond, (1, 1, 0, 1))
    if not (outlook.decisions or outlook.plan.withheld or outlook.plan.beyond or outlook.failure):
        yield Padding(Text("Nothing fails.", style="green"), (0, 1))
    yield from _changes(outlook)


def _decisions(decisions: Sequence[Decision], benchmark: str, *, narrow: bool) -> Table:
    """List steps; on a narrow terminal the impact has no column, but is a line of the text."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, min_width=6)
    if not narrow:
        table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for decision in decisions:
        impact = Text(decision.impact.value, style=_IMPACTS.get(decision.impact, "red"))
        for finding in decision.step.findings:
            what = Text(line(finding.control.title))
            if finding is decision.step.findings[-1]:
                what.append(f"\n{decision.step.role}: {decision.step.variable}", style="bright_black")
                if decision.reason:
                    what.append(f"\n{line(decision.reason)}", style="bright_black")
            cells = [Text("\n").join([impact, what])] if narrow else [impact, what]
            table.add_row(Text(finding.control.id_in(benchmark)), *cells)
    return table


def _withheld(steps: Sequence[Withheld], benchmark: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(min_width=6, max_width=_IDS, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for each in steps:
        ids = ", ".join(finding.control.id_in(benchmark) for finding in each.step.findings)
        what = Text(f"{each.step.role}: {each.step.variable}")
        what.append(f"\n{line(each.reason, 600)}", style="bright_black")
        table.add_row(Text(line(ids)), what)
    return table


def _changes(outlook: Outlook) -> Iterator[RenderableType]:
    for change in outlook.result.changes:
        yield Padding(Text(line(f"{change.what} {change.path}"), style="bold"), (1, 1, 0, 1))
        for text in block(change.diff).rstrip("\n").split("\n"):
            yield Text(f" {text}", style=COLOURS.get(text[:1], ""))
    for number, activation in enumerate(outlook.result.activations):
        then = Text(f"then {line(activation.action)}", style="bold")
        if activation.stops:
            then.append(f": stops {line(', '.join(activation.stops))}", style="not bold red")
        yield Padding(then, (0 if number else 1, 1, 0, 1))
    for note in (*outlook.left, *outlook.result.notes):
        yield Padding(Text(line(note), style="yellow"), (0, 1))
