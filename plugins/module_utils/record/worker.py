"""The process of a run: it holds what the run has made, does what it is told, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from typing import Any, Callable, Mapping, Protocol

from ..docker import engine as engines
from ..host import limits, processes, units
from ..host.errors import Failed, describe
from ..host.once import Once
from . import workspace
from .engine import Engine

AFTER = 300  # seconds that an answer to what the process is told may take
_BEFORE = 600  # seconds until it can be told anything
_MAX_MESSAGE = 1 << 20
_MAX_ANSWER = 32 << 20


class Task(Protocol):
    """What the process of a run does."""

    def begin(self) -> dict[str, Any]:
        """Do what comes first; what who started the run is answered."""
        ...

    def told(self, message: Mapping[str, Any]) -> Any:
        """Do what is told; the answer."""
        ...

    def close(self) -> None:
        """Let go of the twin."""
        ...


def start(run: str, engine: Engine, make: Callable[[], Task], *, seconds: int) -> dict[str, Any]:
    """Start the process of a run, and return the answer to its beginning.

    Args:
        run: its name.
        engine: where it makes twins.
        make: makes what it does, in that process.
        seconds: how long it waits to be told something.

    Raises:
        Failed: it ended, or could not begin.
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _become_worker()
        _work(lambda: _Worker(engine, run, make, seconds).run(writer), writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read(_MAX_MESSAGE)
    if not text:
        raise Failed("the recorder was killed on the host")
    message: dict[str, Any] = json.loads(text)
    if "failed" in message:
        raise Failed(message["failed"])
    return {"run": run, **message}


def engine_socket(named: str | None) -> str:
    """The engine's socket: the named one, or that of the host's engine.

    Raises:
        Failed: there is none whose containers can be recorded.
    """
    if named:
        return named
    found = engines.find(Once(processes.scan), Once(units.read))
    if found.rootless:
        raise Failed("the engine is rootless: its containers cannot be recorded")
    if not found.api or found.socket is None:
        raise Failed(found.error or "no Docker engine is installed")
    return found.socket


def tell(run: str, message: Mapping[str, Any], *, seconds: int = AFTER) -> Any:
    """Tell the process of a run to do something; its answer. A message with ``last`` ends the run.

    Raises:
        Failed: the run is gone, or what it was told failed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(workspace.control(run))
            connection.sendall(json.dumps(message).encode() + b"\n")
            pieces = []
            size = 0
            while True:
                piece = connection.recv(1 << 20)
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
                if size > _MAX_ANSWER:
                    raise Failed(f"the recording has more than {_MAX_ANSWER} bytes")
        except OSError as error:
            raise Failed(f"the recorder is gone: {describe(error)}; it ends after its time") from None
    if not pieces:
        raise Failed("the recorder was killed on the host")
    answer = json.loads(b"".join(pieces))
    if "failed" in answer:
        raise Failed(answer["failed"])
    return answer["result"]


def _become_worker() -> None:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


def _terminate(_number: int, _frame: object) -> None:
    raise SystemExit


def _work(work: Callable[[], None], writer: int) -> None:
    """Body of the worker; never returns."""
    try:
        work()
    except BaseException as error:  # whatever it is, who waits gets to know
        _answer(writer, {"failed": describe(error)})
    finally:
        os._exit(0)


def _answer(writer: int, message: Mapping[str, Any]) -> None:
    try:
        os.write(writer, json.dumps(message).encode())
        os.close(writer)
    except OSError:
        pass  # nobody waits any more, or has had an answer already


class _Worker:
    """Does a task, and waits for the word to end."""

    def __init__(self, engine: Engine, run: str, make: Callable[[], Task], seconds: int) -> None:
        limits.hold(_BEFORE + seconds + AFTER)
        self._engine = engine
        self._make = make
        self._seconds = seconds
        self._space = workspace.Workspace(run)

    def run(self, writer: int) -> None:
        """Do all of it."""
        problems = workspace.sweep(self._engine)
        try:
            task = self._make()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
                control.bind(self._space.socket)
                control.listen(4)
                _answer(writer, {**task.begin(), "problems": problems})
                self._serve(control, task)
        finally:
            workspace.clear(self._engine, self._space.run)
            self._space.remove()

    def _serve(self, control: socket.socket, task: Task) -> None:
        deadline = time.monotonic() + self._seconds + AFTER
        while time.monotonic() < deadline:
            ready, _, _ = select.select([control], [], [], 1.0)
            if not ready:
                continue
            connection, _ = control.accept()
            with connection:
                connection.settimeout(AFTER)
                message = json.loads(connection.makefile("rb").readline(_MAX_MESSAGE))
                try:
                    answer: dict[str, Any] = {"result": task.told(message)}
                except Exception as error:  # as above
                    answer = {"failed": describe(error)}
                over = bool(message.get("last")) or "failed" in answer
                if over:  # the caller goes on when nothing is left of the twin
                    task.close()
                    workspace.clear(self._engine, self._space.run)
                connection.sendall(json.dumps(answer).encode())
            if over:
                return
