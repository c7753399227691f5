"""``hardener metrics``: the last runs as metrics for Prometheus."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from hardener.cli.common import home_option
from hardener.files import require_writable

# node_exporter runs as a user of its own. It learns how many controls fail on a host, not which.
_FOR_EVERYBODY = 0o644


@click.command(short_help="Write the last runs as metrics for Prometheus.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to, readable for everybody; standard output without it.",
)
@home_option
def metrics(*, out: Path | None, home: Path) -> None:
    """Write what the last run over all hosts and all controls of every inventory has found, as metrics.

    The format is Prometheus's text format, for the textfile collector of node_exporter, which reads *.prom in
    the folder that it was given. docs/schedule.md lists the metrics, and alerts to begin with.

    \b
    hardener metrics --out /var/lib/prometheus/node-exporter/hardener.prom
    """  # noqa: D301 - click reads the \b
    from hardener.errors import HardenerError
    from hardener.files import write_text
    from hardener.history import History
    from hardener.reports.metrics import RunMetrics
    from hardener.reports.metrics import metrics as written

    if out:
        require_writable(out)
    history = History(home)
    runs = history.last_complete()
    if not runs:
        raise HardenerError(
            f"no run over all hosts and all controls is kept in {history.path}",
            hint="`hardener audit -i INVENTORY` makes one",
        )
    text = written(
        RunMetrics(
            inventory=run.record.inventory,
            verb=run.record.verb,
            exit_code=run.record.exit_code,
            run=run.info,
            assessments=run.assessments(),
            seen=partial(history.last_seen, run.record.inventory),
        )
        for run in runs
    )
    if out:
        write_text(out, text, mode=_FOR_EVERYBODY)
    else:
        sys.stdout.buffer.write(text.encode())  # the bytes of the file, whatever the locale
