"""``hardener runs``: list the runs of the history, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.history_options import Runs, runs_options
from hardener.cli.json_option import json_option, write_json
from hardener.text import line, utc

if TYPE_CHECKING:
    from hardener.history import StoredRun

_ID_SHOWN = 8
_HEADINGS = ("run", "ended", "command", "hosts", "pass", "fail", "error", "waived", "exit", "inventory")
_NUMBERS = slice(3, 9)


@click.command(short_help="List the runs of the history.")
@runs_options
@json_option
def runs(*, kept: Runs, json_file: Path | None) -> None:
    """List the runs of audit, harden, provision and drift in the history, newest first.

    Name a run by its id or the beginning of it, or as latest, latest~1 (the run before it) or baseline. These
    mean runs of the inventory of -i, or of the only inventory that has runs. retention.yml in the folder says
    how long runs are kept: keep_runs (500) and keep_days (400) are the defaults.
    """
    from hardener.documents import runs_document

    history = kept.history
    found = list(history.runs(kept.name))
    inventories = {run.record.inventory for run in found}
    baselines = {run.number for each in inventories if (run := history.baseline(each))}
    if write_json(runs_document(found, baselines), json_file):
        return
    if not found:
        of = f" of {line(kept.name, 1000)}" if kept.name else ""
        click.echo(f"no run{of} is kept in {history.path}", err=True)
        return
    shown = _shortest([run.id for run in history.runs()])
    rows = [_HEADINGS, *(_row(run, shown, baseline=run.number in baselines) for run in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[_NUMBERS] = [cell.strip().rjust(len(cell)) for cell in cells[_NUMBERS]]
        click.echo("  ".join(cells).rstrip())


def _row(run: StoredRun, shown: int, *, baseline: bool) -> Sequence[str]:
    from hardener.model import Status

    counts = run.counts()
    counted = (Status.PASS, Status.FAIL, Status.ERROR, Status.WAIVED)
    limited = f", limited to {line(run.record.limit)}" if run.record.limit else ""
    record = run.record
    not_changed = f", {record.not_begun} not begun" if record.not_begun else ""
    not_changed += f", {record.change_failed} failed" if record.change_failed else ""
    return (
        line(run.id[:shown]),
        utc(run.info.ended),
        line(run.record.verb),
        str(run.hosts),
        *(str(counts[status]) for status in counted),
        str(run.record.exit_code),
        f"{line(run.record.inventory, 1000)}{limited}{not_changed}{' (baseline)' if baseline else ''}",
    )


def _shortest(ids: Sequence[str]) -> int:
    """Return the length of the shortest prefix that tells all identifiers apart."""
    shown = _ID_SHOWN
    while len({each[:shown] for each in ids}) < len(ids):
        shown += 1
    return shown
