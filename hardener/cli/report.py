"""``hardener report``: write a report of a run of the history, in any format."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.history_options import Runs, runs_options
from hardener.files import require_writable
from hardener.reports.formats import FORMATS


@click.command(short_help="Write a report of a run of the history.")
@click.argument("run", metavar="[RUN]", default="latest")
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
@runs_options
def report(*, run: str, name: str, out: Path | None, kept: Runs) -> None:
    """Write a report of a run, byte for byte what the run itself would have written.

    HTML and Markdown say what moved since the run before, and HTML draws a trend: with what is still kept of
    earlier runs.

    \b
    hardener report latest --format html --out report.html
    hardener report 3f1c164a --format csv | column -ts,
    """  # noqa: D301 - click reads the \b
    from hardener.history.previous import previous_runs
    from hardener.reports.interface import pieces, write_reports

    if out:
        require_writable(out)
    chosen, stored = FORMATS[name], kept.run(run)
    earlier = previous_runs(kept.history, stored.record, before=stored.number) if chosen.looks_back else None
    written = chosen.report(stored.info, earlier)
    if out:
        write_reports(stored.assessments(), {out: written})
        return
    for text in pieces(written, stored.assessments()):
        sys.stdout.buffer.write(text.encode())  # write the bytes of the file, independent of the locale
