"""Show the changes between two runs with rich: each control before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.comparison import (
    ChangedFact,
    ChangeKind,
    Drift,
    FindingChange,
    GroupedChange,
    GroupedContainerChange,
)
from hardener.comparison.finding import CHANGES
from hardener.decisions.remarks import remarks
from hardener.model import Status
from hardener.summary import hosts_by_reason
from hardener.terminal.parts import KIND_STYLES, control_list, files_written
from hardener.text import first, line

_HOSTS_SHOWN = 10
_ALIKE_SHOWN = 3  # different changes of one control
_FACTS_SHOWN = 8
_OFFENDERS_SHOWN = 5
_CHANGED_SHOWN = 20
_AXES_SHOWN = 12


def drift_screen(drift: Drift, title: str, files: Mapping[str, Path]) -> RenderableType:
    """Return the screen with the changes between two runs; the last lines stay in view.

    Args:
        drift: the changes.
        title: the names of the two runs.
        files: the written reports, by title.
    """
    return Group(
        *(part for kind in CHANGES for part in _changes(kind, drift)),
        *_changed(drift),
        *_not_compared(drift),
        *files_written(files),
        Padding(Text(title, style="bold"), (1, 1, 0, 1)),
        Padding(_counts(drift), (0, 1)),
    )


def _counts(drift: Drift) -> Text:
    text = Text(f"{drift.hosts} host{'' if drift.hosts == 1 else 's'} compared: ")
    for kind in CHANGES:
        if count := drift.kinds[kind]:
            _, colour = KIND_STYLES[kind]
            text.append(f"{count} {kind}", style=f"bold {colour}").append(", ")
    failing = drift.unchanged[Status.FAIL]
    text.append(f"{drift.unchanged.total()} unchanged ({failing} of them failing)")
    if count := len(drift.controls):
        text.append(f"; {count} control{'' if count == 1 else 's'} cannot be compared")
    return text


def _changes(kind: ChangeKind, drift: Drift) -> Iterator[RenderableType]:
    chosen = [each for each in drift.changes() if each.change.kind is kind]
    if not chosen:
        return
    mark, colour = KIND_STYLES[kind]
    yield Padding(Text(f"{kind.capitalize()} ({drift.kinds[kind]})", style=f"bold {colour}"), (1, 1, 0, 1))
    table = control_list()
    for slug, alike in groupby(chosen, key=lambda each: each.change.control.slug):
        one = list(alike)
        what = Text("\n").join(map(_finding_text, one[:_ALIKE_SHOWN]))
        title = one[0].change.control.title_if(one[0].change.after.status)
        what = Text(line(title)).append(f"  {slug}\n", "bright_black").append(what)
        if others := one[_ALIKE_SHOWN:]:
            hosts = sum(len(each.hosts) for each in others)
            where = "1 more host" if hosts == 1 else f"{hosts} more hosts"
            what.append(f"\nother changes on {where}: see `hardener diff --limit HOST`", "bright_black")
        table.add_row(Text(mark, style=colour), Text(line(one[0].change.id)), what)
    yield Padding(table, (0, 1))


def _finding_text(alike: GroupedChange) -> Text:
    move = alike.change
    what = Text(", ".join(first(alike.hosts, _HOSTS_SHOWN)), style="bold")
    for label, text in _lines(move):
        what.append(f"\n{label:<7}", style="bright_black").append(text)
    return what


def _lines(move: FindingChange) -> Iterator[tuple[str, str]]:
    decided = [remarks(each) for each in (move.before, move.after)]
    for label, finding, said in zip(("before", "after"), (move.before, move.after), decided, strict=True):
        yield label, f"{finding.status.replace('_', ' ')}: {line(finding.verdict.actual) or 'no detail'}"
        if decided[0] != decided[1]:
            yield from (("", remark) for remark in said)
    if move.kind in (ChangeKind.WORSE, ChangeKind.QUESTION, ChangeKind.LESS):
        for label, offenders in (("new", move.new), ("gone", move.gone)):
            names = [line(f"{each.kind} {each.name}") for each in offenders]
            if names:
                yield label, ", ".join(first(names, _OFFENDERS_SHOWN))
    for text in first(list(_facts(move.facts)), _FACTS_SHOWN):
        yield "fact", text


def _facts(facts: Sequence[ChangedFact]) -> Iterator[str]:
    for fact in facts:
        yield f"{line(fact.name, 160)}: {line(fact.before, 160)} → {line(fact.after, 160)}"


def _changed(drift: Drift) -> Iterator[RenderableType]:
    """List the containers whose identity changed, with each changed property (axis)."""
    found = drift.container_changes()
    if not found:
        return
    title = f"Containers whose identity changed ({sum(len(each.hosts) for each in found)})"
    yield Padding(Text(title, style="bold cyan"), (1, 1, 0, 1))
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for each in found[:_CHANGED_SHOWN]:
        profiled = bool(each.change.profiled)
        table.add_row(Text("!" if profiled else "~", style="magenta" if profiled else "cyan"), _axes(each))
    yield Padding(table, (0, 1))
    if len(found) > _CHANGED_SHOWN:
        yield Padding(Text(f"and {len(found) - _CHANGED_SHOWN} more"), (0, 1))


def _axes(alike: GroupedContainerChange) -> Text:
    changed = alike.change
    what = Text(line(changed.container, 60) or "all containers")
    what.append(f"  {', '.join(first(alike.hosts, _HOSTS_SHOWN))}", style="bold")
    texts = (f"{axis.name}: {line(axis.texts[0], 160)} → {line(axis.texts[1], 160)}" for axis in changed.axes)
    for text in first(list(texts), _AXES_SHOWN):
        what.append(f"\n{text}")
    if changed.profiled:
        names = ", ".join(first([line(name, 60) for name in changed.profiled], _HOSTS_SHOWN))
        whose = "its own seccomp profile" if changed.container else f"the custom seccomp profile of {names}"
        what.append(
            f"\n{whose} was made for the earlier identity: record the container again", style="magenta"
        )
    return what


def _not_compared(drift: Drift) -> Iterator[RenderableType]:
    if drift.not_compared:
        title = f"Not compared ({len(drift.not_compared)})"
        yield Padding(Text(title, style="bold magenta"), (1, 1, 0, 1))
        alike = hosts_by_reason(drift.not_compared)
        shown = first([f"{hosts}: {why}" for hosts, why in alike], _HOSTS_SHOWN)
        yield Padding(Text("\n".join(shown)), (0, 1))
