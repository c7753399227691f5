"""``hardener trend``: show compliance over time, by section."""

from __future__ import annotations

import sys

import click

from hardener.cli.history_options import Runs, runs_options

_RUNS_SHOWN = 40


@click.command(short_help="Show compliance over time, by section.")
@click.argument("run", metavar="[RUN]", default="latest")
@runs_options
def trend(*, run: str, kept: Runs) -> None:
    """Show the share of passing controls over the runs up to RUN, by default the latest.

    Counted are its earlier runs over the same inventory by the same controls, 40 at most. The share is of the
    controls that pass or do not: what is manual, waived or not applicable has no part in it.
    """
    from hardener.terminal.console import console
    from hardener.terminal.trend import heading, sections

    runs = kept.history.series(kept.run(run), _RUNS_SHOWN)
    for text in heading(runs):
        click.echo(text)
    console(sys.stdout).print(sections(runs))
