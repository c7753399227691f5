"""Render ``docs/controls`` from the catalogue: one page for each control, and an index."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener import catalogue
from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.model import Control

SETTINGS = "host-kernel-settings"
ORIGIN = "<!-- Generated from hardener/catalogue by tools/control_pages.py: change it there. -->"


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {
        "README.md": "\n".join(_index(catalogue.benchmarks()[-1])) + "\n",
        **{f"{control.slug}.md": "\n".join(_page(control)) + "\n" for control in catalogue.every_control()},
    }


def _index(benchmark: str) -> Iterator[str]:
    yield from ("# Controls", "", ORIGIN, "")
    yield f"The controls of {benchmark}, and our own. The page of each control also has its ids in"
    yield "other versions. `hardener controls SLUG` shows the same in a terminal."
    for section, title in catalogue.sections(benchmark).items():
        rows = [
            f"| {control.id_in(benchmark)} | [{control.slug}]({control.slug}.md) | {control.title} "
            f"| {control.severity} | {control.remediation.role if control.remediation else ''} |"
            for control in catalogue.load(benchmark)
            if control.id_in(benchmark).rpartition(".")[0] == section
        ]
        if rows:
            yield from ("", f"## {section} {title}", "")
            yield from ("| id | control | passes if | severity | role |", "| --- | --- | --- | --- | --- |")
            yield from rows


def _page(control: Control) -> Iterator[str]:
    yield from (f"# {control.title}", "", ORIGIN, "")
    yield from (f"`{control.slug}`, section {control.section}, severity {control.severity}", "")
    yield from ("| benchmark | id | level | assessment |", "| --- | --- | --- | --- |")
    for name, place in control.benchmarks.items():
        yield f"| {name} | {place.id} | {place.level} | {place.assessment} |"
    yield from ("", "## Why", "", control.rationale)
    yield from ("", "## How it is decided", "", control.decision)
    if control.slug == SETTINGS:
        yield from ("", *_settings())
    yield from ("", "## What it cannot see", "", control.unseen)
    yield from ("", "## How to fix it", "", control.fix)
    yield from ("", "## What hardener does", "", _remediation(control))
    yield from ("", "## Serves", "")
    yield from ("| framework | requirements | according to |", "| --- | --- | --- |")
    for mapping in control.mappings:
        requirements = ", ".join(mapping.requirements)
        yield f"| {FRAMEWORKS[mapping.framework]} | {requirements} | {SOURCES[mapping.source]} |"


def _settings() -> Iterator[str]:
    """Yield a table of the kernel settings that are judged or set, with their reasons."""
    yield from ("| setting | passes | the role sets | why | see |", "| --- | --- | --- | --- | --- |")
    for each in sysctls.SETTINGS:
        values = f"{each.words or 'not judged'} | {each.value or 'leaves it to the engine'}"
        yield f"| `{each.key}` | {values} | {each.reason} | {each.see} |"


def _remediation(control: Control) -> str:
    if control.remediation is None:
        return "No role remediates this control."
    remediation = control.remediation
    return (
        f"Role `{remediation.role}`, variable `{remediation.variable}`. "
        f"Impact {remediation.impact}: {IMPACTS[remediation.impact]}."
    )
