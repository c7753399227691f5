"""``hardener workload proofs``: list the proofs of the history, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import home_option

_HEADINGS = ("proof", "ended", "verdict", "profile", "image")


@click.command(short_help="List the proofs of the history.")
@home_option
def proofs(*, home: Path) -> None:
    """List the proofs of profiles that are kept in the history, the newest first.

    `hardener evidence export --proof PROOF` takes one by its identifier or the beginning of it, or as latest,
    latest~1 (the one before). retention.yml in the folder says how long they are kept, as for runs.
    """
    from hardener.history.proofs import Proofs
    from hardener.text import line

    kept = list(Proofs(home).all())
    if not kept:
        click.echo(f"no proof is kept in {home}", err=True)
        return
    rows = [_HEADINGS]
    rows += [
        (each.id, line(each.ended), line(each.verdict), line(each.name), line(each.image)) for each in kept
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
