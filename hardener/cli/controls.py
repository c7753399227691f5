"""``hardener controls``: list the controls of a benchmark, or explain one control."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

import click

from hardener import catalogue
from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.cli import completers
from hardener.cli.common import aligned, json_option, write_json
from hardener.model import Control

COLUMNS = ("ID", "LEVEL", "SEVERITY", "SLUG", "REMEDIATED BY", "TITLE")
MAX_WIDTH = 100


@click.command(short_help="List the controls of a benchmark, or explain one.")
@click.argument("control", required=False, metavar="[SLUG|CIS-ID]", shell_complete=completers.control)
@click.option(
    "--benchmark",
    default=catalogue.DEFAULT_BENCHMARK,
    show_default=True,
    metavar="NAME",
    shell_complete=completers.benchmark,
    help="Benchmark version to list, or in which an id is looked up; our own controls (H.1 …) come last.",
)
@json_option
def controls(*, control: str | None, benchmark: str, json_file: Path | None) -> None:
    """List the controls of a benchmark version, one per line: id, level, severity, slug, role, title.

    With SLUG|CIS-ID, such as daemon-icc-disabled or 2.2, explain this control: why it matters, which fact
    decides it, how to fix it, which requirements it serves. The same id means different things in different
    versions of the benchmark.

    \b
    hardener controls
    hardener controls 5.5
    """  # noqa: D301 - click reads the \b
    found = (catalogue.find(control, benchmark),) if control else catalogue.load(benchmark)
    if json_file:
        from hardener.documents import controls_document

        if write_json(controls_document(found, benchmark), json_file):
            return
    if control:
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH) if sys.stdout.isatty() else MAX_WIDTH
        lines = _describe(found[0], benchmark, width)
    else:
        lines = aligned([COLUMNS, *(_row(each, benchmark) for each in found)])
    click.echo("\n".join(lines), color=False if os.environ.get("NO_COLOR") else None)


def _row(control: Control, benchmark: str) -> tuple[str, ...]:
    place = control.benchmarks[benchmark]
    role = control.remediation.role if control.remediation else "-"
    return (place.id, str(place.level), control.severity, control.slug, role, control.title)


def _describe(control: Control, benchmark: str, width: int) -> Iterator[str]:
    yield click.style(control.title, bold=True)
    yield control.slug
    yield ""
    yield f"  Severity  {control.severity}"
    yield f"  Section   {control.section}"
    for name, place in control.benchmarks.items():
        yield f"  {name}  {place.id:6}  level {place.level}  {place.assessment}"
    for slug, names in _elsewhere(control, benchmark).items():
        yield f"  Note: {control.id_in(benchmark)} is {slug} in {', '.join(names)}"
    for heading, text in (
        ("Why", control.rationale),
        ("How it is decided", control.decision),
        ("What it cannot see", control.unseen),
        ("How to fix it", control.fix),
    ):
        yield from ("", click.style(heading, bold=True), _wrapped(text, width))
    yield from ("", click.style("What hardener does", bold=True), _wrapped(_remediation(control), width))
    yield from ("", click.style("Serves", bold=True))
    for mapping in control.mappings:
        requirements = ", ".join(mapping.requirements)
        yield f"  {FRAMEWORKS[mapping.framework]:19} {requirements}  (by {SOURCES[mapping.source]})"


def _elsewhere(control: Control, benchmark: str) -> dict[str, list[str]]:
    """Return the other controls that have the same id in other benchmark versions, with those versions."""
    identifier = control.id_in(benchmark)
    others: dict[str, list[str]] = {}
    for name in catalogue.benchmarks():
        for other in catalogue.load(name):
            if other.id_in(name) == identifier and other.slug != control.slug:
                others.setdefault(other.slug, []).append(name)
    return others


def _remediation(control: Control) -> str:
    if control.remediation is None:
        return "No role remediates this control: fix it by hand."
    remediation = control.remediation
    return (
        f"`hardener harden` fixes it with the role `{remediation.role}`, variable `{remediation.variable}`. "
        f"Impact {remediation.impact}: {IMPACTS[remediation.impact]}."
    )


def _wrapped(text: str, width: int) -> str:
    """Wrap and indent paragraphs; indented blocks are commands and stay unchanged."""
    return "\n\n".join(
        "\n".join(f"  {line}" for line in paragraph.splitlines())
        if paragraph.startswith(" ")
        else fill(
            paragraph,
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for paragraph in text.split("\n\n")
    )
