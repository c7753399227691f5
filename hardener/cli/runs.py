"""``hardener runs``: list the runs of the history, forget some, choose a baseline, show a trend."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli import completers
from hardener.cli.command_groups import CommandGroup
from hardener.cli.common import json_option, write_json
from hardener.cli.history_options import Runs, runs_options
from hardener.text import line, utc

if TYPE_CHECKING:
    from hardener.history import StoredRun

_ID_SHOWN = 8
_TREND = 40
_HEADINGS = ("run", "ended", "command", "hosts", "pass", "fail", "error", "waived", "exit", "inventory")
_NUMBERS = slice(3, 9)


@click.group(cls=CommandGroup, short_help="List and forget runs; choose a baseline; show a trend.")
def runs() -> None:
    """Manage the runs of audit, harden, provision and drift in the history.

    Name a run by its id or the beginning of it. `latest` is the latest state of the inventory of -i, or of
    the one that was used last: the newest result of each host and control, as limited runs have changed it.
    `latest~1` is the state before the newest run; `baseline` is the run that drift is measured against.
    """


@runs.command("list", short_help="List the runs, newest first.")
@runs_options
@json_option
def list_runs(*, kept: Runs, json_file: Path | None) -> None:
    """List the runs, newest first; with -i those of one inventory.

    retention.yml in the folder says how long runs are kept: keep_runs (500) and keep_days (400) are the
    defaults.
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


@runs.command(short_help="Choose the run that drift is measured against.")
@click.argument("run", metavar="RUN", shell_complete=completers.run)
@click.option("--part", is_flag=True, help="Take a run over some hosts or some controls.")
@runs_options
def baseline(*, run: str, part: bool, kept: Runs) -> None:
    """Make a run the baseline of its inventory: `hardener drift` reports what has changed since.

    A baseline is kept, however old it is, until another run replaces it. Without a baseline, an inventory
    is compared with its latest state without drift runs.

    \b
    hardener runs baseline latest
    hardener runs baseline latest -i inventory.yml
    """  # noqa: D301 - click reads the \b
    from hardener.errors import HardenerError

    chosen = kept.run(run)
    if len(chosen.parts) > 1:
        raise HardenerError(
            f"the latest state has results of {len(chosen.parts)} runs, and a baseline is one run",
            hint="`hardener audit` makes one over all hosts and controls",
        )
    (stored,) = chosen.parts
    if not (stored.is_whole or part):
        raise HardenerError(
            f"run {line(stored.id)} has only a part of {line(stored.record.inventory, 1000)}: {stored.hosts}"
            f" {'host' if stored.hosts == 1 else 'hosts'}, {len(stored.controls)} controls",
            hint="`hardener audit` makes a run over all hosts and controls; --part takes this one",
        )
    kept.history.set_baseline(stored)
    click.echo(f"{line(stored.id)} is the baseline of {line(stored.record.inventory, 1000)}", err=True)


@runs.command(short_help="Remove runs from the history.")
@click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=completers.run)
@runs_options
def forget(*, names: tuple[str, ...], kept: Runs) -> None:
    """Remove runs from the history; without RUN, all runs of the inventory of -i.

    \b
    hardener runs forget 3f1c164a
    hardener runs forget -i localhost,
    """  # noqa: D301 - click reads the \b
    if not (names or kept.inventory):
        raise click.UsageError("name runs, or an inventory with -i")
    from hardener.errors import HardenerError

    history = kept.history
    found = [part for name in names for part in kept.run(name).parts] or list(history.runs(kept.name))
    if not found:
        raise HardenerError(
            f"no run of {line(kept.name or '', 1000)} is kept", hint="`hardener runs list` lists the runs"
        )
    forgotten = history.forget({run.number: run for run in found}.values())
    left = sum(1 for _ in history.runs())
    click.echo(f"{forgotten} {'run' if forgotten == 1 else 'runs'} forgotten, {left} left", err=True)


@runs.command(short_help="Show compliance over time, by section.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completers.run)
@runs_options
@json_option
def trend(*, run: str, kept: Runs, json_file: Path | None) -> None:
    """Show the share of passing controls over the runs up to RUN, by default the latest.

    The trend has at most 40 runs over the same inventory by the same controls. The share is pass / (pass +
    fail + waived + error); manual and not applicable controls do not count.
    """
    from hardener.documents import trend_document
    from hardener.terminal.console import console
    from hardener.terminal.trend import heading, sections

    series = kept.history.series(kept.run(run), _TREND)
    if write_json(trend_document(series), json_file):
        return
    for text in heading(series):
        click.echo(text)
    console(sys.stdout).print(sections(series))


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
