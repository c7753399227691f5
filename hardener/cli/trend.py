"""``hardener trend``: show compliance over time, by section."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli import completers
from hardener.cli.common import json_option, write_json
from hardener.cli.history_options import Runs, runs_options

_RUNS_SHOWN = 40


@click.command(short_help="Show compliance over time, by section.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@runs_options
@json_option
def trend(*, run: str, kept: Runs, json_file: Path | None) -> None:
    """Show the share of passing controls over the runs up to RUN, by default the latest.

    The trend has at most 40 runs over the same inventory by the same controls. The share is pass / (pass +
    fail + waived + error); manual and not applicable controls do not count.
    """
    from hardener.documents import trend_document
    from hardener.terminal.console import console
    from hardener.terminal.trend import heading, sections

    runs = kept.history.series(kept.run(run), _RUNS_SHOWN)
    if write_json(trend_document(runs), json_file):
        return
    for text in heading(runs):
        click.echo(text)
    console(sys.stdout).print(sections(runs))
