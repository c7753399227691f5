"""How the process of a recording ends: its task is told to, whatever ended it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import limits
from ansible_collections.hardener.docker.plugins.module_utils.record import worker, workspace


class Task:
    """A task that writes down what it is told."""

    def __init__(self, *, begin: Callable[[], None], close: Callable[[], None]) -> None:
        self.closed = 0
        self._begin = begin
        self._close = close

    def begin(self) -> dict[str, Any]:
        self._begin()
        return {}

    def told(self, message: Mapping[str, Any]) -> Any:
        return None

    def close(self) -> None:
        self.closed += 1
        self._close()


def fail() -> None:
    raise RuntimeError("no")


def terminated() -> None:
    raise SystemExit


@pytest.mark.parametrize("how", [fail, terminated], ids=["fails", "terminated"])
@pytest.mark.parametrize("close", [lambda: None, fail], ids=["closes", "cannot close"])
def test_an_interrupted_task_is_closed_and_its_twins_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None], close: Callable[[], None]
) -> None:
    cleared = []
    space = SimpleNamespace(run="r", socket=str(tmp_path / "s"), remove=lambda: cleared.append("folder"))
    monkeypatch.setattr(workspace, "Workspace", lambda _: space)
    monkeypatch.setattr(workspace, "sweep", lambda _: [])
    monkeypatch.setattr(workspace, "clear", lambda _engine, run: cleared.append(run))
    monkeypatch.setattr(limits, "hold", lambda _: None)
    monkeypatch.setattr(worker, "_TERMINATION", worker._Termination())
    monkeypatch.setattr(worker._Termination, "ignore", lambda _: None)
    task = Task(begin=how, close=close)
    engine: Any = SimpleNamespace()
    reader, writer = os.pipe()
    with pytest.raises((RuntimeError, SystemExit)):
        worker._Worker(engine, "r", lambda: task, 1, None).run(writer)
    os.close(reader)
    os.close(writer)
    assert task.closed == 1
    assert cleared == ["r", "folder"]
