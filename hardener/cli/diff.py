"""``hardener diff``: show what changed between two runs."""

from __future__ import annotations

import sys

import click

from hardener.cli.history_options import Runs, runs_options


@click.command(short_help="Show what changed between two runs.")
@click.argument("before", metavar="[RUN1", default="latest~1")
@click.argument("after", metavar="RUN2]", default="latest")
@runs_options
def diff(*, before: str, after: str, kept: Runs) -> None:
    """Show what changed between two runs; without arguments between the last two of an inventory.

    What fails since, what is fixed, what was waived, each with the facts behind it. Two runs without a common
    host are refused.

    \b
    hardener diff
    hardener diff baseline latest
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console, show_drift
    from hardener.workflows.compare_runs import compare_stored, run_title

    earlier, later = kept.run(before), kept.run(after)
    drift = compare_stored(earlier, later)
    show_drift(drift, console(sys.stdout), title=f"{run_title(earlier)} → {run_title(later)}")
