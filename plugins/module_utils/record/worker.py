"""Run the process of a recording or proof, which removes all objects of the run at the end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, Any, Callable, Iterator, Mapping, NamedTuple, Protocol

from ..docker import engine as engines
from ..host import limits, processes, steps, units
from ..host.errors import Failed, describe
from ..host.once import Once
from ..host.read import read_or
from . import workspace
from .engine import Engine

AFTER = 300  # seconds in which a command must arrive; all but the last are answered within them too
_BEFORE = 1500  # seconds until it accepts commands: a slow host starts 16 containers in them
_LAST = 900  # seconds that the last command may take
_CLEARING = 120  # seconds in which everything must be removed
_LOOK = 0.5
_STARTED = 19  # field of /proc/PID/stat, counted after the name
_MAX_MESSAGE = 1 << 20
_MAX_ANSWER = 32 << 20


class Task(Protocol):
    """The work of a run's process."""

    def begin(self) -> dict[str, Any]:
        """Begin the work; return the answer for the caller that started the run."""

    def told(self, message: Mapping[str, Any]) -> Any:
        """Execute a command; return the answer."""

    def close(self) -> None:
        """Stop forwarding to the twin and sampling it."""


class Owner(NamedTuple):
    """A process of this host; when it ends, the run ends."""

    pid: int
    started: str  # in ticks since the host started, because process numbers are reused

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Owner | None:
        """Return the owner with this ``pid`` and ``started``; None if the arguments are empty."""
        return cls(int(arguments["pid"]), str(arguments["started"])) if arguments else None

    def lives(self) -> bool:
        """Return whether the owner still runs."""
        words = read_or(f"/proc/{self.pid}/stat", "").rpartition(")")[2].split()
        return len(words) > _STARTED and words[_STARTED] == self.started and words[0] not in "ZX"


class Told(NamedTuple):
    """The answer to a command, and what of the run could not be removed after the last one."""

    result: Any
    problems: list[str]


def start(
    run: str,
    engine: Engine,
    make: Callable[[], Task],
    *,
    seconds: int,
    turns: int = 1,
    owner: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Start the process of a run, and return its first answer, to the stage ``begin``.

    Args:
        run: its name.
        engine: the engine for its twins.
        make: creates the task, in that process.
        seconds: how long it waits for the last command.
        turns: how many times this limit applies: each command but the last begins the next turn.
        owner: ``pid`` and ``started`` of a process of this host; the run ends when it does. Empty for none.

    Raises:
        Failed: it ended, or could not begin.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _become_worker()

        def work() -> None:
            whose = Owner.of(owner or {})
            _Worker(engine, run, make, seconds=seconds, turns=turns, owner=whose).run(writer)

        _work(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        text = steps.answer(lines)
    if not text:
        _pid, status = os.waitpid(child, 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        raise Failed(f"the recorder was killed on the host ({code})")
    message: dict[str, Any] = json.loads(text)
    if "failed" in message:
        raise Failed(message["failed"])
    return {"run": run, **message}


def longest(seconds: int, turns: int = 1) -> int:
    """Return the seconds after which the process of a run ends."""
    return turns * (_BEFORE + seconds + AFTER) + _LAST


def engine_socket(named: str | None) -> str:
    """Return the engine's socket: the given path, or else the socket of the host's engine.

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


def tell(run: str, message: Mapping[str, Any], *, seconds: int = AFTER) -> Told:
    """Send a command to the process of a run; return its answer. A message with ``last`` ends the run.

    Raises:
        Failed: the run is gone, or what it was told failed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(workspace.control(run))
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as lines:
                text = steps.answer(_bounded(lines))
        except OSError as error:
            raise Failed(
                f"the recorder does not answer: {describe(error)}; its time limit removes the twins"
            ) from None
    if not text:
        raise Failed("the recorder was killed on the host")
    answer = json.loads(text)
    problems = answer.get("problems") or []
    if "failed" in answer:
        raise Failed("; ".join([answer["failed"], *problems]))
    return Told(answer["result"], problems)


def _bounded(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an answer.

    Raises:
        Failed: one is too long.
    """
    for line in iter(lambda: file.readline(_MAX_ANSWER + 1), b""):
        if len(line) > _MAX_ANSWER:
            raise Failed(f"the recording has more than {_MAX_ANSWER} bytes")
        yield line


def stop(run: str) -> None:
    """End a run, whatever its state; everything it created is removed then.

    Raises:
        Failed: it is gone, does not end, or could not remove everything.
    """
    os.kill(workspace.holder(run), signal.SIGTERM)
    deadline = time.monotonic() + _CLEARING
    while workspace.lives(run):
        if time.monotonic() > deadline:
            raise Failed(f"the recorder did not end within {_CLEARING} s")
        time.sleep(0.05)
    remains = workspace.remains(run)
    if remains:
        raise Failed(_remains(remains))


def _remains(problem: str) -> str:
    return f"remains of the run: {problem}"


def _become_worker() -> None:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _TERMINATION)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


class _Termination:
    """Ends the process on a signal; during a request to the engine, only after the request."""

    def __init__(self) -> None:
        self._asked = False
        self._requests = 0

    def __call__(self, _number: int, _frame: object) -> None:
        """Handle the signal."""
        self._asked = True
        if not self._requests:
            self._end()

    def ignore(self) -> None:
        """Ignore further signals: the process is ending."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._asked = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """Mark the context as a request to the engine, for which the signal handler waits."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            if self._asked and not self._requests:
                self._end()

    def _end(self) -> None:
        """End the process once: another signal must not interrupt the wait for requests of other threads."""
        self.ignore()
        raise SystemExit


_TERMINATION = _Termination()


def _work(work: Callable[[], None], writer: int) -> None:
    """Run the body of the worker; never returns."""
    try:
        work()
    except BaseException as error:  # report every exception to the waiting process
        _answer(writer, {"failed": describe(error)})
    finally:
        os._exit(0)


def _answer(writer: int, message: Mapping[str, Any]) -> None:
    try:
        os.write(writer, json.dumps(message).encode())
        os.close(writer)
    except OSError:
        pass  # the waiting process is gone, or has its answer already


class _Worker:
    """Runs a task, and executes commands until the last one or the time limit."""

    def __init__(
        self,
        engine: Engine,
        run: str,
        make: Callable[[], Task],
        *,
        seconds: int,
        turns: int = 1,
        owner: Owner | None,
    ) -> None:
        limits.hold(longest(seconds, turns))
        engine.around = _TERMINATION.request
        self._engine = engine
        self._make = make
        self._seconds = seconds
        self._turns = turns
        self._space = workspace.Workspace(run)
        if owner is not None:
            threading.Thread(target=_watch, args=(owner,), daemon=True).start()

    def run(self, writer: int) -> None:
        """Run the task from its beginning to its end."""
        problems = workspace.sweep(self._engine)
        task: Task | None = None
        try:
            task = self._make()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
                control.bind(self._space.socket)
                control.listen(4)
                with _steps_to(writer):
                    begun = task.begin()
                _answer(writer, {**begun, "problems": [*begun.get("problems", ()), *problems]})
                self._serve(control, task)
        finally:
            _TERMINATION.ignore()
            if task is not None:
                with suppress(Exception):  # what the run created has to be removed all the same
                    task.close()
            self._space.remove(workspace.clear(self._engine, self._space.run))

    def _serve(self, control: socket.socket, task: Task) -> None:
        deadline = time.monotonic() + self._seconds + AFTER
        turns = self._turns
        while time.monotonic() < deadline:
            ready, _writable, _failed = select.select([control], [], [], 1.0)
            if not ready:
                continue
            connection, _address = control.accept()
            with connection:
                connection.settimeout(AFTER)
                message = json.loads(connection.makefile("rb").readline(_MAX_MESSAGE))
                try:
                    with _steps_to(connection.fileno()):
                        answer: dict[str, Any] = {"result": task.told(message)}
                except Exception as error:  # as above
                    answer = {"failed": describe(error)}
                over = bool(message.get("last")) or "failed" in answer
                if over:  # answer only after everything is removed
                    task.close()
                    answer["problems"] = [
                        _remains(problem) for problem in workspace.clear(self._engine, self._space.run)
                    ]
                connection.sendall(json.dumps(answer).encode())
            if over:
                return
            if turns > 1:
                turns -= 1
                deadline = time.monotonic() + self._seconds + AFTER


@contextmanager
def _steps_to(descriptor: int) -> Iterator[None]:
    """Report the steps of the block to the process that waits for its answer."""
    steps.serve(descriptor)
    try:
        yield
    finally:
        steps.serve(-1)


def _watch(owner: Owner) -> None:
    """Signal this process to end when its owner has ended."""
    while owner.lives():
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
