"""``hardener trend``: show compliance over time, by section."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.common import home_option

_RUNS_SHOWN = 40


@click.command(short_help="Show compliance over time, by section.")
@click.argument("run", metavar="[RUN]", default="latest")
@home_option
def trend(*, run: str, home: Path) -> None:
    """Show the share of passing controls over the runs up to RUN, by default the latest.

    Counted are its earlier runs over the same inventory by the same controls, 40 at most. The share is of the
    controls that pass or do not: what is manual, waived or not applicable has no part in it.
    """
    from hardener.history import History
    from hardener.terminal.console import console
    from hardener.terminal.trend import heading, sections

    history = History(home)
    runs = history.series(history.run(run), _RUNS_SHOWN)
    for text in heading(runs):
        click.echo(text)
    console(sys.stdout).print(sections(runs))
