"""Summarise a recording: what was exercised, what was used, and what could not be observed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line
from hardener.workload.merging import unreached
from hardener.workload.recording import Recording


def screen(recording: Recording) -> Iterator[RenderableType]:
    """Return the parts of the screen of a recording."""
    yield Padding(Text(_headline(recording), style="bold"), (0, 1))
    yield Padding(_phases(recording), (1, 1, 0, 1))
    for name, text in _used(recording):
        yield Padding(Text.assemble((f"{name} ", "bold"), text), (1, 1, 0, 1))
    if missing := _missing(recording):
        yield Padding(Text("Not recorded", style="magenta"), (1, 1, 0, 1))
        for sentence in missing:
            yield Padding(Text(line(sentence)), (0, 1, 0, 3))


def overview(recordings: Sequence[Recording]) -> Iterator[RenderableType]:
    """Return the parts of the screen of a project's recordings."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("service", "phases", "serve", "calls", "capabilities"):
        table.add_column(title, overflow="fold")
    for recording in recordings:
        served = next((phase for phase in recording.phases if phase.name == "serve"), None)
        exercised = served is not None and served.exercised
        table.add_row(
            _service(recording),
            f"{len(recording.exercised)} of {len(recording.phases)}",
            Text("exercised" if exercised else "not exercised", style="" if exercised else "yellow"),
            str(sum(map(len, recording.calls.values()))),
            _capabilities(recording),
        )
    yield Padding(table, (0, 1))
    for recording in recordings:
        left = [phase for phase in recording.phases if not phase.exercised]
        yield Padding(Text(_service(recording), style="bold"), (1, 1, 0, 1))
        for phase in left:
            yield Padding(Text(f"{phase.name} was not exercised: {line(phase.reason, 200)}"), (0, 1, 0, 3))
        for sentence in _missing(recording):
            yield Padding(Text(line(sentence)), (0, 1, 0, 3))


def _missing(recording: Recording) -> list[str]:
    """Return the ports that the exercise did not reach, and what could not be recorded."""
    ports = (unreached(port) for port in recording.network.ports if not port.reached)
    return [*ports, *recording.recorder.missing]


def _service(recording: Recording) -> str:
    compose = recording.container.compose
    return line(compose.service if compose is not None else recording.container.name, 60)


def _capabilities(recording: Recording) -> str:
    if "capabilities" in recording.recorder.unseen:
        return "not seen"
    return " ".join(sorted({use.name.removeprefix("CAP_") for use in recording.capabilities})) or "none"


def _headline(recording: Recording) -> str:
    exercised, phases = len(recording.exercised), len(recording.phases)
    name, image = line(recording.container.name, 60), line(recording.container.image, 80)
    where = {
        "same": ", in the network of the original",
        "original": ", recorded on the container itself, after a restart",
    }.get(recording.twin.network, "")
    return f"{name} ({image}): {exercised} of {phases} phases exercised{where}"


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
    yield "capabilities:", _capabilities(recording)
    users = sorted({(each.program, each.uid) for each in recording.identities})
    yield "users:", line(", ".join(f"{name} as {uid}" for name, uid in users), 500) or "none"
    changed = len(recording.files.written) + len(recording.files.created) + len(recording.files.deleted)
    yield f"{changed} changed paths:", line(" ".join(recording.files.written + recording.files.created), 500)
