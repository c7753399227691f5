"""``hardener report write``: write a report of a run of the history, in any format."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli import completers
from hardener.cli.common import split_option
from hardener.cli.history_options import Runs, filter_options, runs_options
from hardener.files import STANDARD_OUTPUT, require_folder, require_writable
from hardener.reports.formats import FOLDERS, FORMATS, Format
from hardener.result_filter import ResultFilter


@click.command(short_help="Write a report of a run of the history.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@click.option(
    "--format",
    "name",
    type=click.Choice([*FORMATS, *FOLDERS]),
    required=True,
    help="Format of the report.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write, or folder for html-dir.  [default: standard output]",
)
@split_option
@filter_options
@runs_options
def write(*, run: str, name: str, out: Path | None, split: str, chosen: ResultFilter, kept: Runs) -> None:
    """Write a report of a run, byte for byte as the run itself would have written it.

    Filter options work as in `hardener show`; every format except CSV names the filter. A filtered report
    does not compare with earlier runs: `hardener diff` has the same options.

    HTML and Markdown show what changed since the previous run, and HTML draws a trend, as far as earlier runs
    are still kept.

    \b
    hardener report write latest --format html --out report.html
    hardener report write 3f1c164a --format csv | column -ts,
    hardener report write --format markdown --limit web --status fail
    """  # noqa: D301 - click reads the \b
    from hardener.history import SelectedResults
    from hardener.history.previous import previous_runs
    from hardener.reports.interface import pieces, too_large, write_reports
    from hardener.terminal.run import selection_lines
    from hardener.workflows.options import split_report

    format_: Format = FOLDERS[name] if name in FOLDERS else FORMATS[name]
    if split and (out in (None, STANDARD_OUTPUT) or not format_.splits):
        raise click.UsageError("--split needs a file name for --out, and --format junit or sarif")
    if name in FOLDERS and not out:
        raise click.UsageError(f"the format {name} writes a folder, and needs --out")
    if out:
        (require_folder if name in FOLDERS else require_writable)(out)
    stored = kept.run(run)
    results = SelectedResults(stored, chosen)
    looks_back = format_.looks_back and not chosen  # earlier totals are of whole runs
    earlier = previous_runs(kept.history, stored.record, before=stored.number) if looks_back else None
    warnings: list[str] = []
    if out and split:
        parts = split_report(format_, split, results.info, results.assessments())
        write_reports(results.assessments(), {out: parts})
    elif out and name in FOLDERS:
        write_reports(results.assessments(), {out: FOLDERS[name].folder(results.info, earlier)})
    elif out:
        warnings = write_reports(results.assessments(), {out: format_.report(results.info, earlier)})
    else:
        whole = format_.report(results.info, earlier)
        for text in pieces(whole, results.assessments()):
            sys.stdout.buffer.write(text.encode())  # write the bytes of the file, independent of the locale
        warnings = [too_large("standard output", whole)] if whole.excess else []
    for text in (*(f"hardener: warning: {each}" for each in warnings), *selection_lines(results)):
        click.echo(text, err=True)
