"""Complete values on the command line: inventories, benchmarks, controls, sections, runs, report formats.

A shell asks at each press of the tab key, so imports happen only where they are needed. Nothing is offered if
a file cannot be read; values that a shell would interpret are never offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import click
from click.shell_completion import CompletionItem

_RUNS = 50
_SAFE = re.compile(r"[A-Za-z0-9_.,:@%+=~/-]+")
_Items = Sequence[CompletionItem]
_Completer = Callable[[click.Context, click.Parameter, str], _Items]


def _completer(values: Callable[[click.Context, str], Iterable[tuple[str, str]]]) -> _Completer:
    """Return a completer that offers the values that begin with the typed text, each with its description."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> _Items:
        found = []
        with suppress(Exception):  # a broken history must not write into the line that is typed
            for value, described in values(context, typed):
                if value.startswith(typed) and _SAFE.fullmatch(value):
                    found.append(CompletionItem(value, help=described or None))
        return found

    return complete


def inventory(_context: click.Context, _parameter: click.Parameter, typed: str) -> _Items:
    """Complete an inventory by files and folders."""
    return [CompletionItem(typed, type="file")]


def _benchmarks(_context: click.Context, _typed: str) -> Iterator[tuple[str, str]]:
    from hardener import catalogue

    yield from ((name, "") for name in catalogue.benchmarks())


def _controls(context: click.Context, _typed: str) -> Iterator[tuple[str, str]]:
    from hardener import catalogue

    name = context.params.get("benchmark") or catalogue.DEFAULT_BENCHMARK
    found = catalogue.load(name)
    yield from ((control.slug, f"{control.id_in(name)} {control.title}") for control in found)
    yield from ((control.id_in(name), control.title) for control in found)


def _sections(_context: click.Context, _typed: str) -> Iterator[tuple[str, str]]:
    from hardener import catalogue

    yield from ((name, "") for name in sorted({each.section for each in catalogue.every_control()}))


def _selectors(context: click.Context, typed: str) -> Iterator[tuple[str, str]]:
    yield from _sections(context, typed)
    yield from _controls(context, typed)


def _runs(context: click.Context, _typed: str) -> Iterator[tuple[str, str]]:
    yield from (("latest", "the newest run"), ("latest~1", "the run before the newest"), ("baseline", ""))
    from hardener.fleet import inventory_name
    from hardener.history import History, default_home
    from hardener.text import line, utc

    options: dict[str, Any] = context.params
    chosen = options.get("inventory")
    history = History(options.get("home") or default_home())
    for run in islice(history.runs(inventory_name(chosen) if chosen else None), _RUNS):
        record = run.record
        described = f"{record.verb} {utc(run.info.ended)} {line(record.inventory, 60)}"
        yield run.id, line(described)


def _formats(_context: click.Context, _typed: str) -> Iterator[tuple[str, str]]:
    from hardener.reports.formats import FOLDERS, FORMATS

    yield from ((f"{name}=", each.title) for name, each in {**FORMATS, **FOLDERS}.items())


benchmark = _completer(_benchmarks)
control = _completer(_controls)
selector = _completer(_selectors)
run = _completer(_runs)
report = _completer(_formats)
