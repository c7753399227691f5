"""``hardener controls``: list the controls of a benchmark, one on each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from hardener import catalogue
from hardener.cli import completers
from hardener.cli.common import json_option, write_json
from hardener.model import Control

COLUMNS = ("ID", "LEVEL", "SEVERITY", "SLUG", "REMEDIATED BY", "TITLE")


@click.command(short_help="List the controls of a benchmark.")
@click.option(
    "--benchmark",
    default=catalogue.DEFAULT_BENCHMARK,
    show_default=True,
    metavar="NAME",
    shell_complete=completers.benchmark,
    help="Benchmark version to list; our own controls (H.1 …) come last.",
)
@json_option
def controls(*, benchmark: str, json_file: Path | None) -> None:
    """List the controls of a benchmark version, one per line: id, level, severity, slug, role, title."""
    found = catalogue.load(benchmark)
    if json_file:
        from hardener.documents import controls_document

        if write_json(controls_document(found, benchmark), json_file):
            return
    rows = [COLUMNS, *(_row(control, benchmark) for control in found)]
    click.echo("\n".join(_aligned(rows)))


def _row(control: Control, benchmark: str) -> tuple[str, ...]:
    place = control.benchmarks[benchmark]
    role = control.remediation.role if control.remediation else "-"
    return (place.id, str(place.level), control.severity, control.slug, role, control.title)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
