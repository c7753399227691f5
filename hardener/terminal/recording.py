"""A recording in short: what was exercised, what was used, and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line
from hardener.workload.recording import Recording


def screen(recording: Recording, path: Path) -> Iterator[RenderableType]:
    """The parts of what is shown of a recording.

    Args:
        recording: the recording.
        path: where it was written.
    """
    yield Padding(Text(_headline(recording), style="bold"), (0, 1))
    yield Padding(_phases(recording), (1, 1, 0, 1))
    for name, text in _used(recording):
        yield Padding(Text.assemble((f"{name} ", "bold"), text), (1, 1, 0, 1))
    if recording.recorder.missing:
        yield Padding(Text("Not recorded", style="magenta"), (1, 1, 0, 1))
        for sentence in recording.recorder.missing:
            yield Padding(Text(line(sentence)), (0, 1, 0, 3))
    yield Padding(Text(f"Written to {line(str(path), 1000)}"), (1, 1, 0, 1))


def _headline(recording: Recording) -> str:
    exercised, phases = len(recording.exercised), len(recording.phases)
    name, image = line(recording.container.name, 60), line(recording.container.image, 80)
    return f"{name} ({image}): {exercised} of {phases} phases exercised"


def _phases(recording: Recording) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("phase", "exercised", "seconds", ""):
        table.add_column(title)
    for phase in recording.phases:
        style = "" if phase.exercised else "yellow"
        state = "yes" if phase.exercised else "no"
        table.add_row(
            phase.name, Text(state, style=style), f"{phase.seconds:.1f}", Text(line(phase.reason, 90))
        )
    return table


def _used(recording: Recording) -> Iterator[tuple[str, str]]:
    for architecture, calls in recording.calls.items():
        yield f"{len(calls)} system calls ({architecture}):", line(" ".join(sorted(calls)), 2000)
    names = sorted({use.name.removeprefix("CAP_") for use in recording.capabilities})
    yield f"{len(names)} capabilities:", " ".join(names) or "none"
    users = sorted({(each.program, each.uid) for each in recording.identities})
    yield "users:", line(", ".join(f"{name} as {uid}" for name, uid in users), 500) or "none"
    changed = len(recording.files.written) + len(recording.files.created) + len(recording.files.deleted)
    yield f"{changed} changed paths:", line(" ".join(recording.files.written + recording.files.created), 500)
