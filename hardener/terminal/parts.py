"""Build the parts that the screens of an audit, a comparison and drift share.

Every text is passed as ``Text``, never as markup: a container named ``[bold]`` is shown as such. Colour only
repeats what words and symbols say, so that screens are complete without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.comparison.finding import ChangeKind
from hardener.decisions.remarks import Tally
from hardener.model import Assessment, Decisions, Severity, Status
from hardener.text import first, line

REST = (Status.MANUAL, Status.NOT_APPLICABLE, Status.WAIVED)
STATUS_COLOURS = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.MANUAL: "cyan",
    Status.NOT_APPLICABLE: "bright_black",
    Status.WAIVED: "yellow",
    Status.ERROR: "magenta",
}
SEVERITY_STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "bright_black",
}
KIND_STYLES = {
    ChangeKind.BROKEN: ("▼", "red"),
    ChangeKind.APPLIES: ("▼", "red"),
    ChangeKind.WORSE: ("▼", "red"),
    ChangeKind.QUESTION: ("▼", "cyan"),
    ChangeKind.UNDECIDED: ("!", "magenta"),
    ChangeKind.WAIVED: ("~", "yellow"),
    ChangeKind.DECIDED: ("~", "yellow"),
    ChangeKind.CHANGED: ("~", "cyan"),
    ChangeKind.LESS: ("✘", "yellow"),
    ChangeKind.FIXED: ("✔", "green"),
    ChangeKind.STILL_FAILING: ("✘", "red"),
}
_HOSTS_SHOWN = 10
_ANY = 10_000  # columns; more than any terminal has
_NOTICES_SHOWN = 30


def header(hosts: int, one: Assessment, benchmark: str) -> Iterator[RenderableType]:
    """Draw the title: the hosts and the benchmark."""
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


def sections_frame() -> Table:
    """Make a table of sections; the caller adds its columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=True, pad_edge=False, show_footer=True)
    table.add_column("Section", footer=Text("Total", style="bold"), min_width=12, no_wrap=True)
    return table


def status_bar(counts: Mapping[Status, int], width: int) -> Text:
    """Draw the shares of pass, fail, error and others; each count above zero gets at least one cell."""
    parts = (
        ("█", STATUS_COLOURS[Status.PASS], counts.get(Status.PASS, 0)),
        ("▒", STATUS_COLOURS[Status.FAIL], counts.get(Status.FAIL, 0)),
        ("!", STATUS_COLOURS[Status.ERROR], counts.get(Status.ERROR, 0)),
        ("·", "bright_black", sum(counts.get(status, 0) for status in REST)),
    )
    text = Text()
    for (glyph, colour, _), cells in zip(parts, divide([part[2] for part in parts], width), strict=True):
        text.append(glyph * cells, style=colour)
    return text


class Share:
    """A bar of flexible width: a table shrinks it before it cuts off numbers."""

    def __init__(self, counts: Mapping[Status, int], width: int) -> None:
        self._counts = counts
        self._width = width

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(4, options.max_width), min(self._width, options.max_width))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield status_bar(self._counts, min(self._width, options.max_width))


class Fitting:
    """A table, and its replacement for terminals that are too narrow for all columns.

    Args:
        table: what is shown where it fits.
        narrow: the same content in lines that can be wrapped.
    """

    def __init__(self, table: Table, narrow: RenderableType) -> None:
        self._table = table
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fits = Measurement.get(console, options.update(max_width=_ANY), self._table).minimum
        yield self._table if fits <= options.max_width else self._narrow


def divide(amounts: Sequence[int], width: int) -> list[int]:
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


def legend() -> RenderableType:
    """Explain the symbols of the cells in a bar."""
    text = Text("  ")
    for glyph, colour, words in (
        ("█", STATUS_COLOURS[Status.PASS], " pass   "),
        ("▒", STATUS_COLOURS[Status.FAIL], " fail   "),
        ("!", STATUS_COLOURS[Status.ERROR], " error   "),
        ("·", "bright_black", " manual, not applicable or waived"),
    ):
        text.append(glyph, style=colour).append(words, style="bright_black")
    return text


def heading(title: str, count: object, style: str) -> RenderableType:
    """Draw the heading of a list."""
    return Padding(Text(f"{title} ({count})", style=f"bold {style}"), (1, 1, 0, 1))


def control_list() -> Table:
    """Make a list of controls: symbol or severity, id, text."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(min_width=6, overflow="fold")  # as wide as 1.1.10, so that the lists are aligned
    table.add_column(ratio=1, overflow="fold")
    return table


def host_list(title: str, hosts: Sequence[tuple[str, str]], number: int = 0) -> Iterator[RenderableType]:
    """List hosts with a reason each; return nothing for no hosts.

    Args:
        title: what they have in common.
        hosts: host and reason; several hosts with one reason may be one entry.
        number: the number of hosts, where that is not the number of entries.
    """
    if hosts:
        yield heading(title, number or len(hosts), "magenta")
        shown = first([f"{host}: {why}" for host, why in hosts], _HOSTS_SHOWN)
        yield Padding(Text("\n".join(shown)), (0, 1))


def decision_notes(
    tally: Tally, counts: Mapping[Status, int], decisions: Decisions | None
) -> Iterator[RenderableType]:
    """Show how many findings do not fail because of decisions, and which decisions need attention."""
    colour = STATUS_COLOURS[Status.WAIVED]
    parts = [f"{waived} waived"] if (waived := counts.get(Status.WAIVED, 0)) else []
    if tally.partly:
        parts.append(f"{tally.partly} partly waived")
    if tally.attested:
        parts.append(f"{tally.attested} passing by attestation")
    if parts:
        text = f"By waivers and attestations: {', '.join(parts)}; the reports list them."
        yield Padding(Text(text, style=colour), (1, 1, 0, 1))
    if notices := tally.notices(decisions):
        yield heading("Waivers and attestations that need attention", len(notices), colour)
        yield Padding(Text("\n".join(first(notices, _NOTICES_SHOWN))), (0, 1))


def files_written(files: Mapping[str, Path]) -> Iterator[RenderableType]:
    """List the written files by title."""
    if files:
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, path in files.items():
            table.add_row(Text(name, style="bright_black"), Text(line(str(path), 4096), overflow="fold"))
        yield Padding(table, (1, 1, 0, 1))
