"""Bound what one host can cost the control node during a task: time, bytes, memory and the size of a result.

No plugin of its own: ``host_script`` holds to it for what it runs, and the script by which hardener starts
Ansible for every other task. All of it concerns the worker process that Ansible forks for one task on one
host, so that a host which is cut off costs no other host anything.

    with bounded(connection, seconds=180):
        outcome = ...                 # talk to the host, and read what it answers

Here are the limits of all tasks. What a host may take by itself says each action (``timeout`` of
``host_script``), since it is enforced there too; the control node waits ``MARGIN`` seconds longer.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from . import host_time

MARGIN = 60  # seconds beyond a host's own limit: to connect, to carry the script there and the answer back
TASK = 900  # seconds for a task without a `timeout`: a module of Ansible's own, such as a command
OUTPUT = 32 << 20  # bytes of output: a thousand containers make two million
MEMORY = 384 << 20  # bytes of address space beyond what a worker has when its task begins
ANSWER = (
    64 << 20
)  # bytes of JSON that an answer is once it is unpacked: a thousand containers make twenty million
VALUES = 2_000_000  # values in it
RESULT_VALUES = 1_000_000  # values of a task's result, which goes on to Ansible's own process
RESULT_CHARACTERS = 32 << 20  # characters of its texts
LEVELS = 100  # of nesting: a worker that cannot pickle its result ends the run of all hosts
TOLD = (
    7 << 20
)  # bytes of a result that hardener shows: of larger ones ansible-runner keeps nothing (MAX_EVENT_RES)

_AGAIN = 5  # seconds after which a worker that still has not let go is interrupted once more
_BEFORE = 0.5  # seconds before Ansible's own `timeout` of a task, which would leave processes behind
_LOCALLY = 5  # seconds for a program that reaches no host
_ENDS = 5  # seconds for a program that has closed its input to end
_PIECE = 1 << 20  # bytes: Ansible appends every piece to all that it has, which it copies
_NESTS = (dict, list, tuple)  # JSON's, and Ansible's kinds of them
_INTERPRETER = re.compile("discovered_interpreter_[a-z]+")
_PATH = re.compile(r"/[\w./+-]{1,200}", re.ASCII)
# Ansible acts on these wherever it finds them: by the first, one host would set the variables of another.
_ACTED_ON = ("add_host", "add_group", "ansible_stats")

_silent = ""  # what became of a block in this process, which is for one task on one host


class Cut(BaseException):
    """What the host sends is no longer read; no handler of connection errors may take it for one of them."""


@contextmanager
def bounded(connection: Any, *, seconds: float) -> Iterator[None]:
    """Bound what happens in the block: the time, the bytes that are read from programs, and the memory.

    Args:
        connection: Ansible's connection to the host.
        seconds: how long it may take. A shorter ``timeout`` that Ansible watches over itself holds too.

    Raises:
        AnsibleConnectionFailure: the time is over; no process of this worker is left.
        AnsibleActionFail: the host sent too much.
    """
    block = _Block(seconds)
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
    """Have an action of Ansible's own keep to the limits, and return nothing that is not for its host.

    One that says ``KEEPS_LIMITS`` does so itself; what it takes is added up for its host all the same.
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
    """What a module returned without what would set variables: those of this host are the inventory's.

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
    """The limits of one block, put in place and taken away again."""

    def __init__(self, seconds: float) -> None:
        self.problem = ""
        self.late = False
        self._seconds = seconds
        self._left = OUTPUT
        self._last = False  # whether the sum of the host's tasks bounds it
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
        self._cut()

    def _cut(self) -> None:
        """End the processes and what waits for them; again, should that go on.

        Raises:
            Cut: always.
        """
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        # Before the exception: what is left to be written to a process that does not read would block.
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
        """A class of processes whose output is read only as far as the limit."""
        block = self

        class Counting(block._popen):  # type: ignore[name-defined]
            """A process of a connection plugin."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                # The limit of memory is not for programs: some reserve a gigabyte and use little of it.
                resource.setrlimit(resource.RLIMIT_AS, block._memory)
                try:
                    super().__init__(*arguments, **options)
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, block._bound)
                for name in ("stdin", "stdout", "stderr"):
                    pipe = getattr(self, name)
                    if hasattr(pipe, "raw"):  # bytes, and buffered
                        setattr(self, name, _Input(pipe, self) if name == "stdin" else _Pipe(pipe, block))

        return Counting

    def count(self, data: bytes) -> None:
        """Count what was read.

        Raises:
            Cut: it is too much.
        """
        self._left -= len(data)
        if self._left < 0:
            self.problem = self.problem or f"the host sent more than {OUTPUT >> 20} MB, which is not read"
            self._cut()


class _Input:
    """What a process reads. One that no longer does is about to end, and says why once it has.

    Ansible's ssh connection gives it a millisecond for that, and then has no better reason than that the data
    could not be sent.
    """

    def __init__(self, pipe: Any, process: Any) -> None:
        self._pipe = pipe
        self._process = process

    def write(self, data: bytes) -> int:
        """Write like the pipe does."""
        return int(self._unless_it_ends(self._pipe.write, data))

    def close(self) -> None:
        """Close it, and write what is left before."""
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

    def __init__(self, pipe: Any, block: _Block) -> None:
        self._pipe = pipe
        self._block = block
        with suppress(OSError, AttributeError):  # many pipes, or not Linux: then it only takes longer
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIECE)

    def read(self, size: int = -1) -> bytes | None:
        """Read like the pipe does; where it does not block, a piece at a time."""
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
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


def kill_children() -> None:
    """Kill every process that descends from this one."""
    parents: dict[int, list[int]] = {}
    with suppress(OSError):  # not Linux
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    status = Path(entry.path, "stat").read_bytes()
                    # The name before it may have any character in it.
                    parent = int(status.rpartition(b")")[2].split()[1])
                    parents.setdefault(parent, []).append(int(entry.name))
    found = [os.getpid()]
    for each in found:
        found += parents.get(each, ())
    for each in found[1:]:
        with suppress(OSError):
            os.kill(each, signal.SIGKILL)


def _close_shared(connection: Any) -> None:
    """End the ssh process that stays in the background for the tasks to come (ControlPersist)."""
    build, host = getattr(connection, "_build_command", None), getattr(connection, "host", None)
    if build is None or not host:
        return
    with suppress(Exception):  # another Ansible: then it ends by itself, a minute after it was last used
        program = connection.get_option("ssh_executable")
        command = list(build(program, "ssh", "-O", "exit", host))
        del command[: command.index(program.encode())]  # sshpass, which has no password to give here
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LOCALLY,
            check=False,
        )


def see_it_fits(result: Any, *, values: int = RESULT_VALUES, characters: int = RESULT_CHARACTERS) -> None:
    """Refuse a result that costs the processes too much to which it goes on.

    Raises:
        AnsibleActionFail: it has too many values, too much text, or is nested too deeply.
    """
    see_it_is_flat(result)
    waiting = [result]
    while waiting:
        value = waiting.pop()
        values -= 1
        if isinstance(value, Mapping):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, str | bytes):
            characters -= len(value)
        if len(waiting) > values or characters < 0:
            raise AnsibleActionFail("the host's answer is too large for a result")


def see_it_is_flat(value: Any) -> None:
    """Refuse what is nested too deeply to be walked through, pickled or written as JSON.

    Raises:
        AnsibleActionFail: it is.
    """
    level = [value] if isinstance(value, _NESTS) else []
    for _level in range(LEVELS):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, _NESTS)
        ]
        if not level:
            return
    raise AnsibleActionFail(f"the host's answer is nested more than {LEVELS} levels deep")


def see_it_can_be_told(result: Any) -> None:
    """Refuse a result that is too large to be shown.

    Raises:
        AnsibleActionFail: it is.
    """
    see_it_fits(result)
    if len(json.dumps(result)) > TOLD:
        raise AnsibleActionFail("the host's answer is too large for a result")


def see_it_parses(text: bytes) -> None:
    """Refuse JSON that takes far more memory once it is parsed than it does as text, before it is parsed.

    What stands in strings counts too: the limit leaves room for that.

    Raises:
        AnsibleActionFail: it has too many values.
    """
    if sum(map(text.count, (b"{", b"[", b",", b":"))) > VALUES:
        raise AnsibleActionFail(f"the host's answer has more than {VALUES} values")
