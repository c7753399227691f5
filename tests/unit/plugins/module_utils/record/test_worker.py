"""What the process of a recording reports, and how it ends: its task is closed, whatever ended it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import limits, steps
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
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


def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let runs work below a temporary folder; return what is removed at the end of one."""
    cleared: list[str] = []

    def clear(_engine: Any, run: str) -> list[str]:
        cleared.append(run)
        return ["kept"]

    socket = str(tmp_path / "s")
    space = SimpleNamespace(
        run="r", socket=socket, remove=lambda problems: cleared.append(f"folder {problems}")
    )
    monkeypatch.setattr(workspace, "Workspace", lambda _: space)
    monkeypatch.setattr(workspace, "control", lambda _: socket)
    monkeypatch.setattr(workspace, "sweep", lambda _: [])
    monkeypatch.setattr(workspace, "clear", clear)
    monkeypatch.setattr(limits, "hold", lambda _: None)
    monkeypatch.setattr(worker, "_TERMINATION", worker._Termination())
    return cleared


class Working(Task):
    """A task that reports its steps."""

    def __init__(self) -> None:
        super().__init__(begin=lambda: steps.begin("phase start-empty"), close=lambda: steps.begin("unheard"))

    def told(self, message: Mapping[str, Any]) -> Any:
        steps.begin("phase stop")
        return "y" * message["long"]


def test_the_steps_of_each_command_are_passed_on_before_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path, monkeypatch)
    engine: Any = SimpleNamespace()
    assert worker.start("r", engine, Working, seconds=60) == {"run": "r", "problems": []}
    assert capfd.readouterr().err == "hardener-step phase start-empty\n"
    for message in ({"long": 1}, {"long": 3_000_000, "last": True}):
        left = ["remains of the run: kept"] if "last" in message else []
        assert worker.tell("r", message) == ("y" * message["long"], left)
        assert capfd.readouterr().err == "hardener-step phase stop\n"


def test_an_answer_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path, monkeypatch)
    monkeypatch.setattr(worker, "_MAX_ANSWER", 1000)
    engine: Any = SimpleNamespace()
    worker.start("r", engine, Working, seconds=60)
    with pytest.raises(Failed, match="more than 1000 bytes"):
        worker.tell("r", {"long": 2000, "last": True})


@pytest.mark.parametrize("how", [fail, terminated], ids=["fails", "terminated"])
@pytest.mark.parametrize("close", [lambda: None, fail], ids=["closes", "cannot close"])
def test_an_interrupted_task_is_closed_and_its_twins_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None], close: Callable[[], None]
) -> None:
    cleared = prepared(tmp_path, monkeypatch)
    monkeypatch.setattr(worker._Termination, "ignore", lambda _: None)
    task = Task(begin=how, close=close)
    engine: Any = SimpleNamespace()
    reader, writer = os.pipe()
    with pytest.raises((RuntimeError, SystemExit)):
        worker._Worker(engine, "r", lambda: task, seconds=1, owner=None).run(writer)
    os.close(reader)
    os.close(writer)
    assert task.closed == 1
    assert cleared == ["r", "folder ['kept']"]


TERMINATED = """
import os, signal, threading, time
from ansible_collections.hardener.docker.plugins.module_utils.record import runtime, worker

class Idle:
    uninterrupted = worker._TERMINATION.request

    def create(self, **options):
        begun.set()
        time.sleep(0.5)
        return "created"

    def start(self, identity):
        return 1

    def remove(self, identity):
        os.write(1, b"removed\\n")

def signals():
    begun.wait()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

begun = threading.Event()
signal.signal(signal.SIGTERM, worker._TERMINATION)
threading.Thread(target=signals, daemon=True).start()
try:
    runtime.starts(Idle(), lambda identity: None, 1)
except SystemExit:
    os.write(1, b"ended\\n")
os._exit(0)
"""


def test_signals_do_not_interrupt_the_wait_for_containers_that_threads_create() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TERMINATED],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    *removed, ended = done.stdout.split()
    assert removed
    assert set(removed) == {"removed"}
    assert ended == "ended"
