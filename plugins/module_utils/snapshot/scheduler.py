"""Read sources in parallel: in threads with a time limit each, and in several processes."""

from __future__ import annotations

import os
import select
import time
from _thread import start_new_thread
from json import JSONEncoder

from ..host import limits
from ..host.errors import Absent, describe
from ..host.once import Event
from ..host.run import TIMEOUT

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

    Plan = list[tuple[str, Callable[[], Any], float]]  # name, function, limit in seconds

SOON = TIMEOUT + 15  # seconds, so that the error names a program or a shared fact that hangs
LATER = 75  # seconds for a source that waits for the engine, or for slow programs
_SPARE = 5  # seconds; its parent kills it, or it ends by itself if the parent cannot
_RECEIVE = 2  # seconds at least: while another one was waited for, it may have used up its time
encode = JSONEncoder(separators=(",", ":")).encode


class Encoded(str):
    """JSON text: a large source is encoded object by object, to limit memory."""

    __slots__ = ()


class Source:
    """A source that is read in its own thread."""

    def __init__(self, read: Callable[[], Any], limit: float) -> None:
        self._read = read
        self._limit = limit
        self._begun = time.monotonic()
        self._done = Event()
        self._entry = ""
        start_new_thread(self._run, ())

    def _run(self) -> None:
        try:
            data = self._read()
            text = data if isinstance(data, Encoded) else encode(data)
            self._entry = f'{{"state":"ok","ms":{self._elapsed()},"data":{text}}}'
        except Absent as error:
            self._entry = self._without_data("absent", describe(error))
        except BaseException as error:  # a source may raise any error, without an effect on the others
            self._entry = self._without_data("failed", describe(error))
        self._done.open()

    def _elapsed(self) -> int:
        return int((time.monotonic() - self._begun) * 1000)

    def _without_data(self, state: str, reason: str) -> str:
        return f'{{"state":"{state}","ms":{self._elapsed()},"error":{encode(reason)}}}'

    def entry(self) -> str:
        """Return the source's entry in the snapshot, as JSON; wait at most until the source's time limit."""
        remaining = self._begun + self._limit - time.monotonic()
        if not self._done.wait(remaining):
            return self._without_data("failed", f"it did not end within {self._limit} s")
        return self._entry


def read(plan: Plan) -> dict[str, str]:
    """Read all sources of a plan: name to entry, as JSON."""
    sources = [(name, Source(function, limit)) for name, function, limit in plan]
    return {name: source.entry() for name, source in sources}


class Helper:
    """A process that reads sources beside this one, since Python runs one thread at a time per process.

    It must be started while there is only one thread.

    Args:
        work: returns entries, by name, as JSON.
        limit: seconds that it may take.
    """

    def __init__(self, work: Callable[[], dict[str, str]], limit: float) -> None:
        self._deadline = time.monotonic() + limit
        self._pipe, write = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                limits.become_helper(parent, int(limit) + _SPARE)
                for name, entry in work().items():
                    _write_all(write, f"{name}\t{entry}\n".encode("ascii"))
            finally:
                os._exit(0)
        os.close(write)

    def result(self) -> dict[str, str]:
        """Return the entries that the helper has read; wait at most until its time limit."""
        pieces = []
        deadline = max(self._deadline, time.monotonic() + _RECEIVE)
        while select.select([self._pipe], [], [], max(0, deadline - time.monotonic()))[0]:
            piece = os.read(self._pipe, 1024 * 1024)
            if not piece:
                break
            pieces.append(piece)
        else:
            limits.end_helper(self._pid)
        os.close(self._pipe)
        lines = b"".join(pieces).decode("ascii").split("\n")[:-1]
        return dict(line.split("\t", 1) for line in lines)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
