"""``hardener runs``: list the runs of the history, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import home_option

if TYPE_CHECKING:
    from hardener.history import StoredRun

_ID_SHOWN = 8
_HEADINGS = ("run", "ended", "verb", "hosts", "pass", "fail", "error", "waived", "exit", "inventory")
_NUMBERS = slice(3, 9)


@click.command(short_help="List the runs of the history.")
@home_option
def runs(*, home: Path) -> None:
    """List the runs of audit, harden, provision and drift that are kept, the newest first.

    A run is called by its identifier or the beginning of it, or latest, latest~1 (the one before), baseline.
    retention.yml in the folder says how long runs are kept: keep_runs (500) and keep_days (400) are the
    defaults.
    """
    from hardener.history import History

    history = History(home)
    kept = list(history.runs())
    if not kept:
        click.echo(f"no run is kept in {history.path}", err=True)
        return
    inventories = {run.record.inventory for run in kept}
    baselines = {run.number for each in inventories if (run := history.baseline(each))}
    shown = _shortest([run.id for run in kept])
    rows = [_HEADINGS, *(_row(run, shown, baseline=run.number in baselines) for run in kept)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[_NUMBERS] = [cell.strip().rjust(len(cell)) for cell in cells[_NUMBERS]]
        click.echo("  ".join(cells).rstrip())


def _row(run: StoredRun, shown: int, *, baseline: bool) -> Sequence[str]:
    from hardener.model import Status
    from hardener.text import line, utc

    counts = run.counts()
    counted = (Status.PASS, Status.FAIL, Status.ERROR, Status.WAIVED)
    limited = f", limited to {line(run.record.limit)}" if run.record.limit else ""
    return (
        line(run.id[:shown]),
        utc(run.info.ended),
        line(run.record.verb),
        str(run.hosts),
        *(str(counts[status]) for status in counted),
        str(run.record.exit_code),
        f"{line(run.record.inventory, 1000)}{limited}{' (baseline)' if baseline else ''}",
    )


def _shortest(ids: Sequence[str]) -> int:
    """Return the length of the shortest prefix that tells all identifiers apart."""
    shown = _ID_SHOWN
    while len({each[:shown] for each in ids}) < len(ids):
        shown += 1
    return shown
