"""``hardener trend``: where compliance is going, section by section."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import home_option
from hardener.model import Status

if TYPE_CHECKING:
    from hardener.history import StoredRun

_LEVELS = "▁▂▃▄▅▆▇█"
_RUNS_SHOWN = 40
_TOTAL = "total"


@click.command(short_help="Show how compliance has moved, section by section.")
@click.argument("run", metavar="[RUN]", default="latest")
@home_option
def trend(*, run: str, home: Path) -> None:
    """Show the share of passing controls over the runs up to RUN, the latest where none is named.

    Counted are its earlier runs over the same inventory by the same controls, 40 at most. The share is of the
    controls that pass or do not: what is manual, waived or not applicable has no part in it.
    """
    from rich.table import Table
    from rich.text import Text

    from hardener.history import History
    from hardener.summary import compliance
    from hardener.terminal.console import console
    from hardener.text import line, utc

    history = History(home)
    chosen = history.series(history.run(run), _RUNS_SHOWN)
    first, last = chosen[0], chosen[-1]
    click.echo(f"{line(last.record.inventory, 1000)}: {len(chosen)} runs by {line(last.info.benchmark)}")
    click.echo(f"{utc(first.info.ended)} to {utc(last.info.ended)}")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("section", no_wrap=True)
    table.add_column("pass", no_wrap=True)
    for heading in ("first", "last", "failing"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in (*last.sections, _TOTAL):
        shares = [compliance(_counts(each, name)) for each in chosen]
        failing = _counts(last, name).get(Status.FAIL, 0)
        cells = (line(name), _sparkline(shares), _percent(shares[0]), _percent(shares[-1]), str(failing))
        table.add_row(*map(Text, cells))
    console(sys.stdout).print(table)


def _counts(run: StoredRun, section: str) -> Mapping[Status, int]:
    return run.counts() if section == _TOTAL else run.sections.get(section, {})


def _sparkline(shares: Sequence[float | None]) -> str:
    return "".join(
        " " if share is None else _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]
        for share in shares
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
