"""``hardener show``: show the result of a run, as it was shown when the run ended."""

from __future__ import annotations

import sys

import click

from hardener.cli.history_options import Runs, runs_options


@click.command(short_help="Show the result of a run.")
@click.argument("run", metavar="[RUN]", default="latest")
@runs_options
def show(*, run: str, kept: Runs) -> None:
    """Show the result of a run without connecting to hosts; by default of the latest run."""
    from hardener.summary import Summary
    from hardener.terminal.console import console, show_summary
    from hardener.terminal.run import run_lines
    from hardener.workflows.options import hosts_option

    stored = kept.run(run)
    summary = Summary()
    for _ in summary.watch(stored.assessments()):
        pass
    for text in run_lines(stored):
        click.echo(text)
    record = stored.record
    show_summary(summary, console(sys.stdout), hosts_option=hosts_option(record.inventory, record.limit))
