"""``hardener show``: what a run found, as it was shown when it ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import home_option

if TYPE_CHECKING:
    from hardener.history import StoredRun


@click.command(short_help="Show what a run found.")
@click.argument("run", metavar="[RUN]", default="latest")
@home_option
def show(*, run: str, home: Path) -> None:
    """Show what a run found, without asking any host; the latest where none is named."""
    from hardener.history import History
    from hardener.summary import Summary
    from hardener.terminal.console import console, show_summary

    stored = History(home).run(run)
    summary = Summary()
    for _ in summary.watch(stored.assessments()):
        pass
    for text in about(stored):
        click.echo(text)
    show_summary(summary, console(sys.stdout))


def about(run: StoredRun) -> Iterator[str]:
    """What is known of a run beside its hosts, line by line."""
    from hardener.text import line, utc

    record, info = run.record, run.info
    yield f"run        {line(run.id)}"
    yield f"verb       {line(record.verb)}, exit code {record.exit_code}"
    yield f"time       {utc(info.started)} to {utc(info.ended)}"
    limited = f", limited to {line(record.limit)}" if record.limit else ""
    yield f"inventory  {line(record.inventory, 1000)}{limited}"
    chosen = f"{info.benchmark} up to level {record.level}"
    yield f"controls   {line(', only '.join((chosen, *record.only)))}"
    yield f"hardener   {info.tool_version} with ansible-core {info.ansible_version}"
    yield f"catalogue  {info.catalogue_digest}"
