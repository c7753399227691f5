"""Show compliance over a series of runs, by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hardener.history import StoredRun
from hardener.model import Status
from hardener.summary import compliance, percentage
from hardener.text import line, utc

_LEVELS = "▁▂▃▄▅▆▇█"
_TOTAL = "total"


def heading(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Return the heading of a series of runs, oldest first."""
    first, last = runs[0], runs[-1]
    yield f"{line(last.record.inventory, 1000)}: {len(runs)} runs by {line(last.info.benchmark)}"
    yield f"{utc(first.info.ended)} to {utc(last.info.ended)}"


def sections(runs: Sequence[StoredRun]) -> RenderableType:
    """Draw the share of passing controls of each section over a series of runs."""
    last = runs[-1]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("section", no_wrap=True)
    table.add_column("pass", no_wrap=True)
    for name in ("first", "last", "failing"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in (*last.sections, _TOTAL):
        shares = [compliance(_counts(each, name)) for each in runs]
        failing = _counts(last, name).get(Status.FAIL, 0)
        cells = (line(name), _sparkline(shares), percentage(shares[0]), percentage(shares[-1]), str(failing))
        table.add_row(*map(Text, cells))
    return table


def _counts(run: StoredRun, section: str) -> Mapping[Status, int]:
    return run.counts() if section == _TOTAL else run.sections.get(section, {})


def _sparkline(shares: Sequence[float | None]) -> str:
    return "".join(
        " " if share is None else _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]
        for share in shares
    )
