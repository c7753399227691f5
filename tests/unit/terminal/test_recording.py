"""The screen of a recording says what was recorded, and what could not be."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from hardener.terminal.recording import overview, screen
from hardener.workload.recording import Recording, build
from tests.unit.workload.recordings import document

UNSEEN = {"complete": False, "missing": [], "unseen": ["capabilities"]}


def recorded(recorder: dict[str, Any] | None = None) -> Recording:
    data = document()
    if recorder:
        data["recorder"] = recorder
    return build(data, name="x")


def text(parts: Iterable[RenderableType]) -> str:
    console = Console(file=StringIO(), width=120)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("several", [False, True])
def test_capabilities_that_could_not_be_recorded_are_not_shown_as_unused(several: bool) -> None:
    def shown(found: Recording) -> str:
        return text(overview([found]) if several else screen(found))

    assert "not seen" in shown(recorded(UNSEEN))
    assert "CHOWN" in shown(recorded())


def test_a_recording_of_the_container_itself_is_named() -> None:
    data = document()
    data["twin"]["network"] = "original"
    sentence = "recorded on the container itself, after a restart"
    assert sentence in text(screen(build(data, name="x")))
    assert sentence not in text(screen(recorded()))
