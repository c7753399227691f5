"""``hardener explain``: show the description of one control."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from textwrap import fill

import click

from hardener import catalogue
from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.cli import completers
from hardener.model import Control

MAX_WIDTH = 100


@click.command(short_help="Explain a control: its meaning, how it is decided, how to fix it.")
@click.argument("control", metavar="SLUG|CIS-ID", shell_complete=completers.control)
@click.option(
    "--benchmark",
    default=catalogue.DEFAULT_BENCHMARK,
    show_default=True,
    metavar="NAME",
    shell_complete=completers.benchmark,
    help="Benchmark version in which an id is looked up.",
)
def explain(control: str, benchmark: str) -> None:
    """Explain a control: why it matters, which fact decides it, how to fix it, which requirements it serves.

    SLUG|CIS-ID is a name such as daemon-icc-disabled or an id such as 2.2; `hardener controls` lists them.
    The same id means different things in different versions of the benchmark.
    """
    found = catalogue.find(control, benchmark)
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH) if sys.stdout.isatty() else MAX_WIDTH
    click.echo(
        "\n".join(_describe(found, benchmark, width)), color=False if os.environ.get("NO_COLOR") else None
    )


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
