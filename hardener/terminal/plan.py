"""Show a plan with rich: the changes on each host, their impact, and the controls that stay failing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.model import Impact
from hardener.plan import Decision, Fate, Outlook, WishResult
from hardener.terminal.phase import COLOURS
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


class _Row(NamedTuple):
    """A control of a step, or a wish, which has no id; ``more`` are the lines below its title."""

    id: str
    impact: Impact
    title: str
    more: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """The plan of a host as it is shown, without the name of the host: hosts with equal sections share one.

    Everything is drawn from a section alone, so hosts that differ in what is shown never share one.
    """

    failure: str
    steps: tuple[tuple[Fate, tuple[_Row, ...]], ...]
    wishes: tuple[_Row, ...]
    withheld: tuple[tuple[str, str, str], ...]  # ids of controls, step, reason
    withheld_controls: int
    beyond: tuple[str, ...]  # ids of controls
    changes: tuple[tuple[str, tuple[str, ...]], ...]  # what is changed, and the lines of the difference
    activations: tuple[tuple[str, str], ...]  # action, and what it stops
    notes: tuple[str, ...]


def show(outlooks: Sequence[Outlook], console: Console, *, benchmark: str) -> None:
    """Show the plans of some hosts; hosts with equal plans share a section."""
    alike: dict[_Section, list[str]] = {}
    for outlook in outlooks:
        alike.setdefault(_section(outlook, benchmark), []).append(line(outlook.host, 60))
    for section, hosts in alike.items():
        console.print(Padding(Text(", ".join(first(hosts, _HOSTS_SHOWN)), style="bold"), (1, 1, 0, 1)))
        for part in _parts(section, narrow=console.width < _NARROW):
            # Never wrap a line of a diff.
            console.print(part, soft_wrap=isinstance(part, Text))


def _section(outlook: Outlook, benchmark: str) -> _Section:
    plan, result = outlook.plan, outlook.result
    by_fate = {fate: [each for each in outlook.decisions if each.fate is fate] for fate in _FATES}
    return _Section(
        failure=line(outlook.failure),
        steps=tuple(
            (fate, tuple(row for each in decisions for row in _rows(each, benchmark)))
            for fate, decisions in by_fate.items()
            if decisions
        ),
        wishes=tuple(_wish(each) for each in outlook.wishes if each.fate is not Fate.UNCHANGED),
        withheld=tuple(
            (
                line(", ".join(finding.control.id_in(benchmark) for finding in each.step.findings)),
                f"{each.step.role}: {each.step.variable}",
                line(each.reason, 600),
            )
            for each in plan.withheld
        ),
        withheld_controls=sum(len(each.step.findings) for each in plan.withheld),
        beyond=tuple(finding.control.id_in(benchmark) for finding in plan.beyond),
        changes=tuple(
            (line(f"{each.what} {each.path}"), tuple(block(each.diff).rstrip("\n").split("\n")))
            for each in result.changes
        ),
        activations=tuple(
            (line(each.action), line(", ".join(each.stops or ()))) for each in result.activations
        ),
        notes=tuple(line(note) for note in (*outlook.left, *result.notes)),
    )


def _rows(decision: Decision, benchmark: str) -> Iterator[_Row]:
    step = decision.step
    about = (f"{step.role}: {step.variable}", *([line(decision.reason)] if decision.reason else []))
    for finding in step.findings:
        more = about if finding is step.findings[-1] else ()
        title = line(finding.control.title_if(finding.status))
        yield _Row(finding.control.id_in(benchmark), decision.impact, title, more)


def _wish(wish: WishResult) -> _Row:
    fate = [] if wish.fate is Fate.CHANGE else [_FATES[wish.fate][0]]
    return _Row(
        "", wish.impact, f"{wish.role}: {line(wish.name)}", (*fate, *filter(None, [line(wish.reason)]))
    )


def _parts(section: _Section, *, narrow: bool) -> Iterator[RenderableType]:
    if section.failure:
        yield Padding(Text(f"no plan: {section.failure}", style="magenta"), (0, 1))
    for fate, rows in section.steps:
        title, colour = _FATES[fate]
        yield Padding(Text(f"{title} ({len(rows)})", style=f"bold {colour}"), (1, 1, 0, 1))
        yield Padding(_steps(rows, narrow=narrow), (0, 1))
    if section.wishes:
        yield Padding(Text(f"Set by the inventory ({len(section.wishes)})", style="bold cyan"), (1, 1, 0, 1))
        yield Padding(_steps(section.wishes, narrow=narrow), (0, 1))
    if section.withheld:
        title = f"Not changed, because of waived controls ({section.withheld_controls})"
        yield Padding(Text(title, style="bold yellow"), (1, 1, 0, 1))
        yield Padding(_withheld(section.withheld), (0, 1))
    if section.beyond:
        beyond = Text(f"Not remediated by any role ({len(section.beyond)})", style="bold red")
        beyond.append(f"  {', '.join(section.beyond)}\n", style="not bold default")
        beyond.append("`hardener controls ID` says what to do", style="not bold bright_black")
        yield Padding(beyond, (1, 1, 0, 1))
    if not (section.steps or section.withheld or section.beyond or section.failure):
        yield Padding(Text("Nothing fails.", style="green"), (0, 1))
    yield from _changes(section)


def _steps(rows: Sequence[_Row], *, narrow: bool) -> Table:
    """List steps; on a narrow terminal the impact has no column, but is a line of the text."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, min_width=6)
    if not narrow:
        table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        impact = Text(row.impact.value, style=_IMPACTS.get(row.impact, "red"))
        what = Text(row.title)
        for text in row.more:
            what.append(f"\n{text}", style="bright_black")
        cells = [Text("\n").join([impact, what])] if narrow else [impact, what]
        table.add_row(Text(row.id), *cells)
    return table


def _withheld(steps: Sequence[tuple[str, str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(min_width=6, max_width=_IDS, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for ids, step, reason in steps:
        table.add_row(Text(ids), Text(step).append(f"\n{reason}", style="bright_black"))
    return table


def _changes(section: _Section) -> Iterator[RenderableType]:
    for what, difference in section.changes:
        yield Padding(Text(what, style="bold"), (1, 1, 0, 1))
        for text in difference:
            yield Text(f" {text}", style=COLOURS.get(text[:1], ""))
    for number, (action, stops) in enumerate(section.activations):
        then = Text(f"then {action}", style="bold")
        if stops:
            then.append(f": stops {stops}", style="not bold red")
        yield Padding(then, (0 if number else 1, 1, 0, 1))
    for note in section.notes:
        yield Padding(Text(note, style="yellow"), (0, 1))
