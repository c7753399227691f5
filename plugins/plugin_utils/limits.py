"""Limit what one host can cost the controller during a task: time, bytes of output, memory.

Not a plugin: ``host_script`` applies the limits to what it runs, and the script with which hardener starts
Ansible applies them to all other tasks. They concern the worker process that Ansible forks for one task on
one host, so that cutting off a host has no effect on others.

    with bounded(connection, seconds=180):
        outcome = ...                 # send requests to the host, and read its answers

These are the limits of all tasks. The limit on the host is set by each action (``timeout`` of
``host_script``), since it is enforced there too; the controller waits ``MARGIN`` seconds longer.
``answer_size`` limits what an answer holds.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from . import host_time
from .answer_size import see_it_fits

MARGIN = 60  # seconds beyond a host's own limit: to connect, and to transfer script and answer
TASK = 900  # seconds for a task without a `timeout`, such as a command
OUTPUT = 32 << 20  # bytes of output: a thousand containers need two million
MEMORY = 384 << 20  # bytes of address space beyond that of a worker when its task begins

_AGAIN = 5  # seconds after which a worker that has not stopped is interrupted again
_BEFORE = 0.5  # seconds before Ansible's own `timeout` of a task, which would leave processes behind
_LOCALLY = 5  # seconds for a program that reaches no host
_ENDS = 5  # seconds for a program to end after it has closed its input
_PIECE = 1 << 20  # bytes: Ansible appends every piece to its whole output, which copies it
_INTERPRETER = re.compile("discovered_interpreter_[a-z]+")
_PATH = re.compile(r"/[\w./+-]{1,200}", re.ASCII)
# Ansible interprets these keys in any result: with the first, a host would set variables of another.
_ACTED_ON = ("add_host", "add_group", "ansible_stats")

_silent = ""  # why a block in this process was cut; the process is for one task on one host


class Cut(BaseException):
    """The host's output is no longer read; handlers of connection errors must not catch this exception."""


@contextmanager
def bounded(
    connection: Any, *, seconds: float, said: Callable[[bytes], None] | None = None
) -> Iterator[None]:
    """Limit time, memory and the bytes that are read from programs, during the context.

    Args:
        connection: Ansible's connection to the host.
        seconds: the time limit. A shorter ``timeout`` that Ansible enforces applies too.
        said: called with each piece of standard error, where the connection reads it as it arrives.

    Raises:
        AnsibleConnectionFailure: the time is over; no process of this worker is left.
        AnsibleActionFail: the host sent too much.
    """
    block = _Block(seconds, said)
    try:
        with block:
            yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit) or not block.problem:
            raise
    if block.problem:
        _close_shared(connection)
        kind = AnsibleConnectionFailure if block.late else AnsibleActionFail
        raise kind(block.problem)


def hold(action: Any) -> None:
    """Apply the limits to an Ansible action, and remove keys from its result that could affect other hosts.

    One with ``KEEPS_LIMITS`` applies them itself; its time is added up for its host all the same.
    """
    run, cleanup = action.run, action.cleanup
    keeps = getattr(action, "KEEPS_LIMITS", False)

    def bounded_run(*arguments: Any, **options: Any) -> Any:
        global _silent  # noqa: PLW0603 - a loop's next item need not wait for the host once more
        if _silent:
            raise AnsibleConnectionFailure(_silent)
        try:
            with bounded(action._connection, seconds=action._task.timeout or TASK):
                result = run(*arguments, **options)
        except AnsibleConnectionFailure as failure:
            _silent = str(failure)
            raise
        return of_its_host(result)

    def bounded_cleanup(*arguments: Any, **options: Any) -> None:
        if not _silent:
            with suppress(AnsibleConnectionFailure), bounded(action._connection, seconds=MARGIN):
                cleanup(*arguments, **options)

    held = run if keeps else bounded_run

    def counted_run(*arguments: Any, **options: Any) -> Any:
        known = options.get("task_vars") or next(
            (each for each in arguments if isinstance(each, Mapping)), {}
        )
        host = str(known.get("inventory_hostname") or "")
        with host_time.counted(host, ordinary=not (keeps or action._task.timeout)):
            return held(*arguments, **options)

    action.run = counted_run
    action.cleanup = bounded_cleanup


def of_its_host(result: dict[str, Any]) -> dict[str, Any]:
    """Return a module's result without keys that set variables, since these come from the inventory only.

    Raises:
        AnsibleActionFail: it is too large.
    """
    see_it_fits(result)
    kept = {key: value for key, value in result.items() if key not in (*_ACTED_ON, "ansible_facts")}
    facts = result.get("ansible_facts")
    found = {
        key: value
        for key, value in (facts.items() if isinstance(facts, Mapping) else ())
        if _INTERPRETER.fullmatch(str(key)) and _PATH.fullmatch(str(value))
    }
    return {**kept, "ansible_facts": found} if found else kept


class _Block:
    """A context manager that sets the limits of a task and removes them at the end."""

    def __init__(self, seconds: float, said: Callable[[bytes], None] | None = None) -> None:
        self.said = said
        self.problem = ""
        self.late = False
        self._seconds = seconds
        self._left = OUTPUT
        self._last = False  # whether the host's total time limits it
        self._began = time.monotonic()

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._handler = signal.getsignal(signal.SIGALRM)
        self._pending = signal.getitimer(signal.ITIMER_REAL)[0]
        if self._pending:
            self._seconds = max(0.1, min(self._seconds, self._pending - _BEFORE))
        allowed = host_time.left()
        self._last = allowed < self._seconds
        self._seconds = max(0.1, min(self._seconds, allowed))
        self._popen = subprocess.Popen
        self._memory = resource.getrlimit(resource.RLIMIT_AS)
        self._bound = self._bounded_memory()
        resource.setrlimit(resource.RLIMIT_AS, self._bound)
        subprocess.Popen = self._counting()  # type: ignore[misc]
        signal.signal(signal.SIGALRM, self._time_is_over)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        subprocess.Popen = self._popen  # type: ignore[misc]
        resource.setrlimit(resource.RLIMIT_AS, self._memory)
        if self._pending and not self.problem:
            over = time.monotonic() - self._began
            signal.setitimer(signal.ITIMER_REAL, max(0.01, self._pending - over))
        if isinstance(error, MemoryError) and not self.problem:
            self.problem = f"the host's answer takes more than {MEMORY >> 20} MB of memory"
        if self.problem:
            kill_children()

    def _time_is_over(self, _number: int, _frame: object) -> None:
        if not self.problem:
            self.late = True
            more = f"; {host_time.used_up()}" if self._last else ""
            self.problem = f"the host gave no answer within {math.ceil(self._seconds)} s{more}"
        self._interrupt()

    def _interrupt(self) -> None:
        """Kill the processes and interrupt the code that waits for them; repeat if it continues.

        Raises:
            Cut: always.
        """
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        # Before the exception: buffered data for a process that does not read would block.
        kill_children()
        raise Cut(self.problem)

    def _bounded_memory(self) -> tuple[int, int]:
        try:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        except (OSError, ValueError):  # not Linux
            return self._memory
        wanted = pages * resource.getpagesize() + MEMORY
        limits = [wanted, *(each for each in self._memory if each != resource.RLIM_INFINITY)]
        return min(limits), self._memory[1]

    def _counting(self) -> Any:
        """Return a process class whose output is read only up to the limit."""
        block = self

        class Counting(block._popen):  # type: ignore[name-defined]
            """A process of a connection plugin."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                # The memory limit does not apply to programs: some reserve a gigabyte and use little of it.
                resource.setrlimit(resource.RLIMIT_AS, block._memory)
                try:
                    super().__init__(*arguments, **options)
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, block._bound)
                for name in ("stdin", "stdout", "stderr"):
                    pipe = getattr(self, name)
                    if hasattr(pipe, "raw"):  # bytes, and buffered
                        said = block.said if name == "stderr" else None
                        setattr(
                            self, name, _Input(pipe, self) if name == "stdin" else _Pipe(pipe, block, said)
                        )

            def communicate(self, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
                """Send the input, and read the output as it arrives; Ansible's local connection does not."""
                pipes = [self.stdout, self.stderr]
                if (
                    block.said is None
                    or options
                    or arguments[1:]
                    or not all(isinstance(pipe, _Pipe) for pipe in pipes)
                ):
                    return super().communicate(*arguments, **options)  # type: ignore[no-any-return]
                feeder = threading.Thread(target=self._feed, args=arguments, daemon=True)
                feeder.start()
                output, errors = _read_as_it_arrives(pipes)
                feeder.join()
                self.wait()
                return output, errors

            def _feed(self, data: bytes | None = None) -> None:
                if self.stdin is not None:
                    with suppress(OSError):  # the process has ended, and its exit code says more
                        if data:
                            self.stdin.write(data)
                        self.stdin.close()

        return Counting

    def count(self, data: bytes) -> None:
        """Count bytes that were read.

        Raises:
            Cut: it is too much.
        """
        self._left -= len(data)
        if self._left < 0:
            self.problem = self.problem or f"the host sent more than {OUTPUT >> 20} MB, which is not read"
            self._interrupt()


class _Input:
    """The input of a process; after a write error it waits for the process to exit and give the reason.

    Ansible's ssh connection waits a millisecond for that, and would only report that sending failed.
    """

    def __init__(self, pipe: Any, process: Any) -> None:
        self._pipe = pipe
        self._process = process

    def write(self, data: bytes) -> int:
        """Write to the pipe."""
        return int(self._unless_it_ends(self._pipe.write, data))

    def close(self) -> None:
        """Write buffered data and close the pipe."""
        self._unless_it_ends(self._pipe.close)

    def _unless_it_ends(self, work: Any, *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


class _Pipe:
    """A process's output, whose bytes are counted as they are read."""

    def __init__(self, pipe: Any, block: _Block, said: Callable[[bytes], None] | None = None) -> None:
        self._pipe = pipe
        self._block = block
        self._said = said
        with suppress(OSError, AttributeError):  # many pipes, or not Linux: then it is only slower
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIECE)

    def read(self, size: int = -1) -> bytes | None:
        """Read up to ``size`` bytes; by default all, or from a non-blocking pipe one piece at most."""
        if size is not None and size >= 0:
            data: bytes | None = self._pipe.read(size)
        elif os.get_blocking(self._pipe.fileno()):
            pieces = []
            while piece := self._pipe.raw.read(_PIECE):
                self._block.count(piece)
                pieces.append(piece)
            return b"".join(pieces)
        else:
            data = self._pipe.raw.read(_PIECE)
        self._block.count(data or b"")
        if self._said and data:
            self._said(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


def _read_as_it_arrives(pipes: Sequence[_Pipe]) -> list[bytes]:
    """Read pipes to their ends, and close them."""
    found: list[list[bytes]] = [[] for _pipe in pipes]
    with selectors.DefaultSelector() as selector:
        for number, pipe in enumerate(pipes):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe.fileno(), selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _events in selector.select():
                data = pipes[key.data].read()
                if data:
                    found[key.data].append(data)
                elif data is not None:  # the end
                    selector.unregister(key.fd)
                    pipes[key.data].close()
    return [b"".join(pieces) for pieces in found]


def kill_children() -> None:
    """Kill every process that descends from this one."""
    parents: dict[int, list[int]] = {}
    with suppress(OSError):  # not Linux
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    status = Path(entry.path, "stat").read_bytes()
                    # The name before it may contain any character.
                    parent = int(status.rpartition(b")")[2].split()[1])
                    parents.setdefault(parent, []).append(int(entry.name))
    found = [os.getpid()]
    for each in found:
        found += parents.get(each, ())
    for each in found[1:]:
        with suppress(OSError):
            os.kill(each, signal.SIGKILL)


def _close_shared(connection: Any) -> None:
    """End the ssh process that stays in the background for later tasks (ControlPersist)."""
    build, host = getattr(connection, "_build_command", None), getattr(connection, "host", None)
    if build is None or not host:
        return
    with suppress(Exception):  # another Ansible version: then it ends by itself a minute after its last use
        program = connection.get_option("ssh_executable")
        command = list(build(program, "ssh", "-O", "exit", host))
        del command[: command.index(program.encode())]  # sshpass, which has no password to provide here
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LOCALLY,
            check=False,
        )
