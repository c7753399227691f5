"""``hardener show``: show the result of a run, as it was shown when the run ended."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli import completers
from hardener.cli.common import json_option, write_json
from hardener.cli.history_options import Runs, filter_options, runs_options
from hardener.result_filter import ResultFilter


@click.command(short_help="Show the result of a run.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@filter_options
@runs_options
@json_option
def show(*, run: str, chosen: ResultFilter, kept: Runs, json_file: Path | None) -> None:
    """Show the result of a run without connecting to hosts; by default of the latest run.

    Filter options choose results: a result must match every option, and one value of an option that is
    repeated. Totals count the chosen results; a line above them says which part of the run they cover.
    Controls that pass, are manual or do not apply are listed only if --status names them.

    \b
    hardener show --status fail --severity critical
    hardener show latest~1 --limit 'db*' --only runtime
    hardener show --status fail --json - | jq -r '.controls[].id'
    """  # noqa: D301 - click reads the \b
    from hardener.documents import RunDocument
    from hardener.history import SelectedResults
    from hardener.summary import LISTED, Summary
    from hardener.terminal.console import console, show_summary
    from hardener.terminal.run import run_lines, selection_lines
    from hardener.workflows.options import hosts_option

    results = SelectedResults(kept.run(run), chosen)
    summary = Summary(chosen.statuses or LISTED, is_part=chosen.of_findings)
    document = RunDocument(results)
    for assessment in summary.watch(results.assessments()):
        document.add(assessment)
    if write_json(document.document(), json_file):
        return
    for text in (*run_lines(results.run), *selection_lines(results)):
        click.echo(text)
    if summary.hosts:
        record = results.run.record
        option = hosts_option(record.inventory, record.limit)
        show_summary(summary, console(sys.stdout), hosts_option=option)
