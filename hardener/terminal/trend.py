"""Show compliance over a series of runs, by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener import catalogue
from hardener.history import StoredRun
from hardener.model import Status
from hardener.summary import compliance, percentage
from hardener.terminal.parts import Fitting
from hardener.text import line, utc

_LEVELS = "▁▂▃▄▅▆▇█"
_TOTAL = "total"


def heading(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Return the heading of a series of runs, oldest first."""
    first, last = runs[0], runs[-1]
    number = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    yield f"{line(last.record.inventory, 1000)}: {number} by {line(last.info.benchmark)}"
    yield f"{utc(first.info.ended)} to {utc(last.info.ended)}"


def sections(runs: Sequence[StoredRun]) -> RenderableType:
    """Draw the share of passing controls of each section over a series of runs.

    A terminal that is too narrow for the table gets the same in lines.
    """
    last = runs[-1]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    names = [*sorted(last.sections, key=catalogue.order), _TOTAL]
    widest = max(cell_len(line(name)) for name in names)
    # Without a minimum the longest word would decide whether the column fits.
    table.add_column("section", no_wrap=True, min_width=widest)
    table.add_column("pass", no_wrap=True)
    for name in ("first", "last", "failing"):
        table.add_column(name, justify="right", no_wrap=True)
    narrow: list[RenderableType] = []
    for name in names:
        shares = [compliance(_counts(each, name)) for each in runs]
        levels, first, now = _sparkline(shares), percentage(shares[0]), percentage(shares[-1])
        failing = str(_counts(last, name).get(Status.FAIL, 0))
        table.add_row(*map(Text, (line(name), levels, first, now, failing)))
        numbers = Text(f"pass first {first}, last {now}; failing {failing}")
        narrow += [Text(line(name), style="bold"), Padding(numbers, (0, 2)), Padding(Text(levels), (0, 2))]
    return Fitting(table, Group(*narrow))


def _counts(run: StoredRun, section: str) -> Mapping[Status, int]:
    return run.counts() if section == _TOTAL else run.sections.get(section, {})


def _sparkline(shares: Sequence[float | None]) -> str:
    return "".join(
        " " if share is None else _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]
        for share in shares
    )
