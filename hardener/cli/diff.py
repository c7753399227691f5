"""``hardener diff``: show what changed between two runs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from click.core import ParameterSource

from hardener.cli import completers
from hardener.cli.common import json_option, seconds_callback, write_json
from hardener.cli.history_options import Runs, filter_options, runs_options
from hardener.result_filter import ResultFilter


@click.command(short_help="Show what changed between two runs.")
@click.argument("before", metavar="[RUN1", default="latest~1", shell_complete=completers.run)
@click.argument("after", metavar="RUN2]", default="latest", shell_complete=completers.run)
@click.option(
    "--since",
    callback=seconds_callback(most="9999d", examples="12h, 7d"),
    metavar="TIME",
    help="In place of RUN1 the state that long ago: 12h, 7d.",
)
@filter_options
@runs_options
@json_option
@click.pass_context
def diff(
    context: click.Context,
    *,
    before: str,
    after: str,
    since: int | None,
    chosen: ResultFilter,
    kept: Runs,
    json_file: Path | None,
) -> None:
    """Show what changed between two runs; without arguments, between the last two runs of an inventory.

    The changes are controls that newly fail, are fixed or were waived, each with the facts that changed. Two
    runs without a common host are refused.

    Filter options work as in `hardener show`; a control is chosen by its result before or after.

    \b
    hardener diff
    hardener diff baseline latest
    hardener diff --since 7d
    hardener diff --status fail --severity critical --severity high
    """  # noqa: D301 - click reads the \b
    from hardener.documents import diff_document
    from hardener.terminal.console import console, show_drift
    from hardener.workflows.compare_runs import compare_stored, run_title

    if since is None:
        earlier = kept.run(before)
    elif context.get_parameter_source("before") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--since takes the place of RUN1")
    else:
        earlier = kept.run_before(datetime.now(UTC) - timedelta(seconds=since))
    later = kept.run(after)
    drift = compare_stored(earlier, later, chosen)
    if write_json(diff_document(earlier, later, drift, chosen), json_file):
        return
    title = f"{run_title(earlier)} → {run_title(later)}"
    if chosen:
        title += f"\nfilter {chosen}"
    show_drift(drift, console(sys.stdout), title=title)
