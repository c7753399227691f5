"""``hardener baseline``: choose the run that drift is measured against."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import home_option


@click.command(short_help="Choose the run that drift is measured against.")
@click.argument("run", metavar="RUN")
@home_option
def baseline(*, run: str, home: Path) -> None:
    """Make a run the baseline of its inventory: `hardener drift` reports what has moved since.

    It is kept however old it gets, until another takes its place. An inventory without a baseline is held
    against its last run that was not a drift run.

    \b
    hardener baseline latest
    """  # noqa: D301 - click reads the \b
    from hardener.history import History
    from hardener.text import line

    history = History(home)
    stored = history.run(run)
    history.set_baseline(stored)
    click.echo(f"{line(stored.id)} is the baseline of {line(stored.record.inventory, 1000)}", err=True)
