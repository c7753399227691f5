"""``hardener workload proofs``: list the proofs of the history, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import home_option
from hardener.errors import ExitCode

_HEADINGS = ("proof", "ended", "verdict", "profile", "image")


@click.command(short_help="List the proofs of the history.")
@home_option
def proofs(*, home: Path) -> ExitCode:
    """List the proofs of profiles in the history, newest first.

    Name a proof for `hardener evidence export --proof PROOF` by its id or the beginning of it, or as latest
    or latest~1 (the proof before it). retention.yml in the folder decides how long proofs and runs are kept.

    The exit code is 0, or 4 if the file of a proof cannot be read: it is named, and the others are listed.
    """
    from hardener.history.proofs import Proofs
    from hardener.text import line
    from hardener.workflows import exit_codes

    kept = Proofs(home).all()
    for problem in kept.problems:
        click.echo(f"error: {problem.message}", err=True)
    code = exit_codes.complete(not kept.problems)
    if not kept.proofs:
        if not kept.problems:
            click.echo(f"no proof is kept in {home}", err=True)
        return code
    rows = [_HEADINGS]
    rows += [
        (each.id, line(each.ended), line(each.verdict), line(each.name), line(each.image))
        for each in kept.proofs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return code
