"""``hardener report``: write a report of a run of the history, in any format."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli import completers
from hardener.cli.filter_options import filter_options
from hardener.cli.history_options import Runs, runs_options
from hardener.files import require_writable
from hardener.reports.formats import FORMATS
from hardener.result_filter import ResultFilter


@click.command(short_help="Write a report of a run of the history.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@click.option(
    "--format",
    "name",
    type=click.Choice(list(FORMATS)),
    required=True,
    help="Format of the report.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="File to write.  [default: standard output]",
)
@filter_options
@runs_options
def report(*, run: str, name: str, out: Path | None, chosen: ResultFilter, kept: Runs) -> None:
    """Write a report of a run, byte for byte what the run itself would have written.

    Options choose a part of it, as `hardener show` does; every format but CSV says so. Such a report does not
    compare with earlier runs: `hardener diff` has the same options.

    HTML and Markdown say what moved since the run before, and HTML draws a trend: with what is still kept of
    earlier runs.

    \b
    hardener report latest --format html --out report.html
    hardener report 3f1c164a --format csv | column -ts,
    hardener report --format markdown --group web --status fail
    """  # noqa: D301 - click reads the \b
    from hardener.history import SelectedResults
    from hardener.history.previous import previous_runs
    from hardener.reports.interface import pieces, write_reports
    from hardener.terminal.run import selection_lines

    if out:
        require_writable(out)
    format_, stored = FORMATS[name], kept.run(run)
    results = SelectedResults(stored, chosen)
    looks_back = format_.looks_back and not chosen  # earlier totals are of whole runs
    earlier = previous_runs(kept.history, stored.record, before=stored.number) if looks_back else None
    written = format_.report(results.info, earlier)
    if out:
        write_reports(results.assessments(), {out: written})
    else:
        for text in pieces(written, results.assessments()):
            sys.stdout.buffer.write(text.encode())  # write the bytes of the file, independent of the locale
    for text in selection_lines(results):
        click.echo(text, err=True)
