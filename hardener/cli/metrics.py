"""``hardener metrics``: write the results of the last runs as metrics for Prometheus."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from hardener.cli.common import home_option
from hardener.errors import HardenerError
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
    hardener metrics --out /var/lib/prometheus/node-exporter/hardener.prom
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text

    if out:
        require_writable(out)
    text = metrics_of_history(home)
    if out:
        write_text(out, text, mode=_FOR_EVERYBODY)
    else:
        sys.stdout.buffer.write(text.encode())  # the bytes of the file, whatever the locale


def metrics_of_history(home: Path) -> str:
    """Return the metrics of a history.

    Args:
        home: its folder.

    Raises:
        HardenerError: no run over all hosts and all controls is kept there.
    """
    from hardener.history import History
    from hardener.reports.metrics import RunMetrics
    from hardener.reports.metrics import metrics as written

    history = History(home)
    names = sorted(each.name for each in history.inventories())
    runs = [run for name in names if (run := history.state(name)) and run.is_whole]
    if not runs:
        raise HardenerError(
            f"no run over all hosts and all controls is kept in {history.path}",
            hint="`hardener audit -i INVENTORY` makes one",
        )
    return written(
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
