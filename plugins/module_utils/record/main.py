"""Begin a recording, end it, or give it up; what happens in between is done by a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import time
from base64 import b64decode
from typing import Any, Callable, Mapping

from ..docker import engine as engines
from ..host import limits, processes, units
from ..host.errors import Failed, describe
from ..host.once import Once
from . import recorder as kernel
from . import workspace
from .engine import Engine
from .session import Request, Session

_LONGEST = 24 * 3600
_BEFORE = 600  # seconds that the phases before the exercise may take
_AFTER = 300  # the same for those after it
_MAX_MESSAGE = 1 << 20
_MAX_ANSWER = 32 << 20


def begin(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Start the twin of a container under the recorder, and return when it serves.

    Args:
        arguments: ``objects``, the BPF objects by their names, in base64; ``socket``, the engine's, where it
            is not to be found; the others are those of ``session.Request``.

    Returns:
        ``run``, which the other functions take; ``addresses``, those of the loopback interface by ports of
        the container; ``problems``, what of earlier runs could not be removed.

    Raises:
        Failed: it cannot be recorded here, or the container has no twin.
    """
    reason = kernel.problem()
    if reason:
        raise Failed(reason)
    request = Request(arguments)
    if not 1 <= request.seconds <= _LONGEST:
        raise Failed(f"{request.seconds} s is no time from 1 to {_LONGEST}")
    objects = {name: b64decode(text) for name, text in arguments["objects"].items()}
    engine = Engine(_socket(arguments.get("socket")))
    run = secrets.token_hex(8)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _become_worker()
        _work(lambda: _Worker(engine, run, request, objects), writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read(_MAX_MESSAGE)
    if not text:
        raise Failed("the recorder was killed on the host")
    message: dict[str, Any] = json.loads(text)
    if "failed" in message:
        raise Failed(message["failed"])
    return {"run": run, **message}


def end(arguments: Mapping[str, Any]) -> Any:
    """Do the phases after the exercise, remove the twin, and return what was recorded.

    Args:
        arguments: ``run``; ``exercise`` with ``seconds`` and ``problem``, empty where it went well.

    Raises:
        Failed: the run is gone, or failed.
    """
    return _tell(str(arguments["run"]), {"end": arguments["exercise"]})


def abandon(arguments: Mapping[str, Any]) -> Any:
    """Remove the twin, and record nothing more of it.

    Raises:
        Failed: the run is gone.
    """
    return _tell(str(arguments["run"]), {"abandon": True})


def _socket(named: str | None) -> str:
    if named:
        return named
    found = engines.find(Once(processes.scan), Once(units.read))
    if found.rootless:
        raise Failed("the engine is rootless: its containers cannot be recorded")
    if not found.api or found.socket is None:
        raise Failed(found.error or "no Docker engine is installed")
    return found.socket


def _tell(run: str, message: Mapping[str, Any]) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_AFTER)
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


# --- the process that records -------------------------------------------------------------------------------


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


def _work(make: Callable[[], _Worker], writer: int) -> None:
    """Body of the worker; never returns."""
    try:
        make().run(writer)
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
    """Records, and waits for the word to end."""

    def __init__(self, engine: Engine, run: str, request: Request, objects: Mapping[str, bytes]) -> None:
        limits.hold(_BEFORE + request.seconds + _AFTER)
        self._engine = engine
        self._request = request
        self._space = workspace.Workspace(run)
        self._objects = objects

    def run(self, writer: int) -> None:
        """Do all of it."""
        problems = workspace.sweep(self._engine)
        try:
            recorder = kernel.Recorder(self._objects)
            session = Session(self._engine, self._space.run, recorder, self._request)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
                control.bind(self._space.socket)
                control.listen(4)
                addresses = session.begin()
                _answer(writer, {"addresses": addresses, "problems": problems})
                self._serve(control, session)
        finally:
            workspace.clear(self._engine, self._space.run)
            self._space.remove()

    def _serve(self, control: socket.socket, session: Session) -> None:
        deadline = time.monotonic() + self._request.seconds + _AFTER
        while time.monotonic() < deadline:
            ready, _, _ = select.select([control], [], [], 1.0)
            if not ready:
                continue
            connection, _ = control.accept()
            with connection:
                connection.settimeout(_AFTER)
                message = json.loads(connection.makefile("rb").readline(_MAX_MESSAGE))
                try:
                    result = session.end(message["end"]) if "end" in message else None
                    answer: dict[str, Any] = {"result": result}
                except Exception as error:  # as above
                    answer = {"failed": describe(error)}
                # The caller goes on when nothing is left of the twin.
                session.close()
                workspace.clear(self._engine, self._space.run)
                connection.sendall(json.dumps(answer).encode())
            return
