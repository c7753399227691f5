"""``hardener show``: show the result of a run, as it was shown when the run ended."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.common import home_option


@click.command(short_help="Show the result of a run.")
@click.argument("run", metavar="[RUN]", default="latest")
@home_option
def show(*, run: str, home: Path) -> None:
    """Show the result of a run without connecting to hosts; by default of the latest run."""
    from hardener.history import History
    from hardener.summary import Summary
    from hardener.terminal.console import console, show_summary
    from hardener.terminal.run import run_lines

    stored = History(home).run(run)
    summary = Summary()
    for _ in summary.watch(stored.assessments()):
        pass
    for text in run_lines(stored):
        click.echo(text)
    show_summary(summary, console(sys.stdout))
