"""One operation of the on-host program, with a fault at one of its calls."""

from __future__ import annotations

import errno
import json
import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.hardener.docker.plugins.module_utils.contract import STEP

from tests.faults.syscalls import CHANGE, CONNECT, EXECUTE, OPEN, SYNC, WRITE, Call, Listener, kill

# Errors by class of call.
ERRORS = {
    OPEN: (errno.ENOSPC, errno.EIO, errno.EROFS),
    WRITE: (errno.ENOSPC, errno.EIO, errno.EROFS),
    CHANGE: (errno.EIO, errno.EROFS),
    SYNC: (errno.EIO,),
    EXECUTE: (errno.ENOMEM,),
    CONNECT: (errno.ECONNREFUSED,),
}
# What else fails while an error lasts.
_ALIKE = {
    errno.ENOSPC: {OPEN, WRITE},
    errno.EIO: {OPEN, WRITE, CHANGE, SYNC},
    errno.EROFS: {OPEN, WRITE, CHANGE},
    errno.ENOMEM: {EXECUTE},
    errno.ECONNREFUSED: {CONNECT},
}
_INTERRUPTED = {OPEN, SYNC, CONNECT}
_LASTING = 100  # seconds of the program's clock, or until the operation is over
# Connections in a row that count. How many a run makes depends on how long it waits for the engine. So each
# row takes as many numbers, and all later calls have the same number in every run.
_POLLS = 8
_NONE = ("", "")
KILL, INTERRUPT_ALL = -1, -2


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a call.

    Attributes:
        at: which one, from 1; 0 for none.
        how: which of the errors of its class (modulo their number), ``KILL``, or ``INTERRUPT_ALL``: every
            call is interrupted once.
        lasts: calls that fail alike do so from then on.
    """

    at: int = 0
    how: int = KILL
    lasts: bool = False

    def __str__(self) -> str:
        what = {KILL: "killed", INTERRUPT_ALL: "interrupted"}.get(self.how, f"error {self.how}")
        return f"{self.at} {what}{' lasting' if self.lasts else ''}"


@dataclass(slots=True)
class Seen:
    """What an operation did.

    Attributes:
        calls: class and description of every call that counts, by its number; empty where a row of
            connections was shorter.
        fired: the call that failed and how; empty where it never came.
        answer: the result, None where it was killed.
        said: its standard error, without its steps.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    fired: str = ""
    answer: dict[str, Any] | None = None
    said: str = ""


class Clock(Protocol):
    """The monotonic clock of a program."""

    @property
    def ahead(self) -> float:
        """Seconds, from any beginning."""

    def install(self) -> None:
        """Have this process live by it."""


def operate(clock: Clock, work: Callable[[], dict[str, Any] | None], fault: Fault = Fault()) -> Seen:
    """Do it, in a process of its own with all that this starts, until the last of them has ended."""
    answers, answer = os.pipe()
    errors, error = os.pipe()

    def child() -> None:
        os.dup2(error, 2)
        clock.install()
        try:
            text = json.dumps(work())
        except BaseException:
            text = ""
            traceback.print_exc()
        os.write(answer, text.encode())

    listener = Listener(child)
    os.close(answer)
    os.close(error)
    seen = _Injection(clock, fault, listener).run()
    with os.fdopen(answers) as file:
        text = file.read()
    with os.fdopen(errors, errors="replace") as file:
        seen.said = "".join(line for line in file if not line.startswith(f"{STEP} "))
    seen.answer = json.loads(text) if text else None
    return seen


class _Injection:
    """Counts the calls of the program, and not of those that it executes."""

    def __init__(self, clock: Clock, fault: Fault, listener: Listener) -> None:
        self._clock = clock
        self._fault = fault
        self._listener = listener
        self._ours = {listener.pid: True}
        self._seen = Seen()
        self._began = 0.0
        self._lasting: set[str] = set()
        self._error_now = 0
        self._row = 0  # connections since the last other call, as far as they count
        self._interrupted: set[tuple[int, int, tuple[int, ...]]] = set()

    def run(self) -> Seen:
        while (call := self._listener.wait()) is not None:
            self._listener.answer(call, self._error(call))
        return self._seen

    def _error(self, call: Call) -> int:
        """What becomes of a call; 0 to let it be."""
        pid = call.thread if call.thread in self._ours else _owner(call.thread)
        if not self._is_ours(pid):
            return 0
        subject = call.subject()
        group = call.kind.group
        if group == EXECUTE:
            if not os.access(subject, os.X_OK):
                return 0  # the path is tried, folder by folder; the kernel refuses it
        elif group != CONNECT and (not subject.startswith("/") or subject.startswith("/dev/")):
            return 0
        error = self._injected(call, pid, group, subject)
        if group == EXECUTE and not error:
            self._ours[pid] = False
        return error

    def _injected(self, call: Call, pid: int, group: str, subject: str) -> int:
        if self._fault.how == INTERRUPT_ALL:
            key = (pid, call.number, call.arguments)
            if group not in _INTERRUPTED and call.kind.name not in ("write", "pwrite64", "ftruncate"):
                return 0
            if key in self._interrupted:
                # Python does not repeat a connect: every second one to the engine would be interrupted.
                if group != CONNECT:
                    self._interrupted.discard(key)
                return 0
            self._interrupted.add(key)
            self._seen.fired = "all"
            return errno.EINTR
        calls = self._seen.calls
        if group != CONNECT:
            calls += [_NONE] * (_POLLS - self._row if self._row else 0)
            self._row = 0
        if self._row < _POLLS:
            self._row += group == CONNECT
            calls.append((group, f"{call.kind.name} {subject}"))
            if len(calls) == self._fault.at:
                return self._fire(pid, group)
        lasts = group in self._lasting and self._clock.ahead - self._began < _LASTING
        return self._error_now if lasts else 0

    def _fire(self, pid: int, group: str) -> int:
        self._seen.fired = self._seen.calls[-1][1]
        if self._fault.how == KILL:
            if group == EXECUTE and pid != self._listener.pid:
                kill(_parent(pid))  # a child that has not become another program yet
            kill(pid)
            return errno.EIO
        self._error_now = ERRORS[group][self._fault.how % len(ERRORS[group])]
        self._seen.fired += f" {errno.errorcode[self._error_now]}"
        if self._fault.lasts:
            self._began = self._clock.ahead
            self._lasting = _ALIKE[self._error_now]
        return self._error_now

    def _is_ours(self, pid: int) -> bool:
        if pid not in self._ours:
            parent = _parent(pid)
            self._ours[pid] = parent in self._ours and self._ours[parent]
        return self._ours[pid]


def numbered(number: int) -> dict[str, Any]:
    """The argument by which a run has a number of its own; see ``converge/fencing.py``."""
    return {"number": {"number": number, "run": f"{number:x}", "who": "a test"}}


def made(calls: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The calls, without numbers that have none."""
    return [call for call in calls if call != _NONE]


def repeated(calls: Sequence[tuple[str, str]], number: int) -> bool:
    """Whether a call is a connection after another one: a run whose engine answers sooner has fewer."""
    return number > 1 and [group for group, _ in calls[number - 2 : number]] == [CONNECT, CONNECT]


def representative(calls: Sequence[tuple[str, str]]) -> list[int]:
    """The numbers of the calls that are made to fail.

    A run saves its journal some twenty times, by the same calls: it prepares a temporary file, renames it and
    syncs the folder. Until the renaming nothing has happened that anything reads, so that a fault at one of
    the preparing calls leaves the host as one at another. All are tried in the first, second and last time
    that a file is saved, and one, in turn, in the others. The renaming and the syncing are tried every time.

    Args:
        calls: class and description of every call, in order.
    """
    saves: defaultdict[str, list[list[int]]] = defaultdict(list)
    before = ""
    for number, (_, what) in enumerate(calls, 1):
        path = what.partition(" ")[2] if what.endswith(".hardener~") else ""
        if path and path != before:
            saves[path].append([])
        if path:
            saves[path][-1].append(number)
        before = path
    left_out = {
        number
        for times in saves.values()
        for turn, preparing in enumerate(times[2:-1])
        for number in preparing
        if number != preparing[turn % len(preparing)]
    }
    return [number for number, call in enumerate(calls, 1) if call != _NONE and number not in left_out]


def _owner(thread: int) -> int:
    return _status(thread, "Tgid")


def _parent(pid: int) -> int:
    return _status(pid, "PPid")


def _status(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
