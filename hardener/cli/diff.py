"""``hardener diff``: show what changed between two runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.common import home_option


@click.command(short_help="Show what changed between two runs.")
@click.argument("before", metavar="[RUN1", default="latest~1")
@click.argument("after", metavar="RUN2]", default="latest")
@home_option
def diff(*, before: str, after: str, home: Path) -> None:
    """Show what changed between two runs; without arguments between the last two.

    What fails since, what is fixed, what was waived, each with the facts behind it.

    \b
    hardener diff
    hardener diff baseline latest
    """  # noqa: D301 - click reads the \b
    from hardener.history import History
    from hardener.terminal.console import console, show_drift
    from hardener.workflows.compare_runs import compare_with, run_title

    history = History(home)
    earlier, later = history.run(before), history.run(after)
    drift = compare_with(earlier, later.assessments(), later.snapshot)
    show_drift(drift, console(sys.stdout), title=f"{run_title(earlier)} → {run_title(later)}")
