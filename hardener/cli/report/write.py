"""``hardener report write``: write reports of a run of the history, in any format."""

from __future__ import annotations

import click

from hardener.cli import completers
from hardener.cli.common import report_options
from hardener.cli.history_options import Runs, filter_options, runs_options
from hardener.result_filter import ResultFilter
from hardener.workflows.options import ReportFiles


@click.command(short_help="Write reports of a run of the history.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@report_options
@filter_options
@runs_options
def write(*, run: str, files: ReportFiles, chosen: ResultFilter, kept: Runs) -> None:
    """Write reports of a run, byte for byte as the run itself would have written them.

    Filter options work as in `hardener show`; every format except CSV names the filter. A filtered report
    does not compare with earlier runs: `hardener diff` has the same options.

    HTML and Markdown show what changed since the previous run, and HTML draws a trend, as far as earlier runs
    are still kept.

    \b
    hardener report write latest --report html=report.html
    hardener report write 3f1c164a --report csv=- | column -ts,
    hardener report write --report markdown=- --limit web --status fail
    """  # noqa: D301 - click reads the \b
    from hardener.history import SelectedResults
    from hardener.history.previous import previous_runs
    from hardener.reports.interface import write_reports
    from hardener.terminal.run import selection_lines

    if not files.named():
        raise click.UsageError("no report is requested: add --report FORMAT=PATH, --junit or --json")
    stored = kept.run(run)
    results = SelectedResults(stored, chosen)
    looks_back = files.look_back and not chosen  # earlier totals are of whole runs
    earlier = previous_runs(kept.history, stored.record, before=stored.number) if looks_back else None
    reports = files.reports(results.info, results.assessments(), earlier)
    for warning in write_reports(results.assessments(), reports):
        click.echo(f"hardener: warning: {warning}", err=True)
    for text in selection_lines(results):
        click.echo(text, err=True)
