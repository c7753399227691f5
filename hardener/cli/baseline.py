"""``hardener baseline``: choose the run that drift is measured against."""

from __future__ import annotations

import click

from hardener.cli import completers
from hardener.cli.history_options import Runs, runs_options


@click.command(short_help="Choose the run that drift is measured against.")
@click.argument("run", metavar="RUN", shell_complete=completers.run)
@runs_options
def baseline(*, run: str, kept: Runs) -> None:
    """Make a run the baseline of its inventory: `hardener drift` reports what has changed since.

    A baseline is kept, however old it is, until another run replaces it. Without a baseline, an inventory
    is compared with its last complete run that was not a drift run.

    \b
    hardener baseline latest
    hardener baseline latest -i inventory.yml
    """  # noqa: D301 - click reads the \b
    from hardener.text import line

    stored = kept.run(run)
    kept.history.set_baseline(stored)
    click.echo(f"{line(stored.id)} is the baseline of {line(stored.record.inventory, 1000)}", err=True)
