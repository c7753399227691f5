"""``hardener report metrics``: write the results of the last runs as metrics for Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.common import home_option
from hardener.files import require_writable

# node_exporter runs under its own user. The metrics tell it the number of failing controls, not which.
_FOR_EVERYBODY = 0o644


@click.command(short_help="Write the last runs as metrics for Prometheus.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write, readable by all users.  [default: standard output]",
)
@home_option
def metrics(*, out: Path | None, home: Path) -> None:
    """Write the latest state of each inventory that has a run over all hosts and all controls as metrics.

    The format is Prometheus's text format, for the textfile collector of node_exporter, which reads all
    *.prom files of one folder. docs/schedule.md lists the metrics, and examples of alerts.

    \b
    hardener report metrics --out /var/lib/prometheus/node-exporter/hardener.prom
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text
    from hardener.workflows.report import metrics_of_history

    if out:
        require_writable(out)
    text = metrics_of_history(home)
    if out:
        write_text(out, text, mode=_FOR_EVERYBODY)
    else:
        sys.stdout.buffer.write(text.encode())  # the bytes of the file, whatever the locale
