"""Access the engine of the recorded container."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Callable, ContextManager, Iterable, Iterator

from ..docker import client
from ..docker.api import Connection
from ..docker.client import quoted
from ..docker.http import FOREVER, NoAnswer
from ..host.errors import Failed
from . import remap

_SILENT = 600.0  # seconds
_SLOW = 180.0  # seconds: starting a container takes most of a minute on a busy or an emulated host


class Engine(client.Engine):
    """The engine behind a socket."""

    around: Callable[[], ContextManager[None]] = nullcontext  # context for each request

    def ask(self, *arguments: Any, **options: Any) -> bytes:
        """Return the raw answer to a request, with a time limit that a slow host can meet."""
        options["seconds"] = max(_SLOW, options.get("seconds", 0.0))
        with self.around():
            return super().ask(*arguments, **options)

    def connect(self, *, seconds: float = FOREVER, idle: float = FOREVER) -> Connection:
        """Return a new connection.

        Raises:
            NoAnswer: nothing listens there.
        """
        try:
            return super().connect(seconds=seconds, idle=idle)
        except NoAnswer as error:
            raise NoAnswer(f"no engine answers at {error}: is it running?") from None

    @property
    def protects_submounts(self) -> bool:
        """Return whether read-only bind mounts are read-only in the mounts below: Docker 25, Linux 5.12."""
        return _numbers(self.api) >= (1, 44) and _numbers(os.uname().release) >= (5, 12)

    def remove(self, container: str) -> None:
        """End and remove a container, with its anonymous volumes: those that its image declares."""
        self.call("DELETE", f"/containers/{quoted(container)}", query={"force": "1", "v": "1"})

    def copy(
        self,
        source: str,
        path: str,
        target: str,
        folder: str,
        *,
        most: int,
        root: remap.Root | None,
        user: remap.User | None,
    ) -> None:
        """Copy a path of a container into a folder of another one, with owners and modes.

        The engine reads and writes inside the containers, so that no link leads out of them. All bytes pass
        this thread, which gets the processor only while no other program wants it.

        Args:
            source: the container.
            path: the path in it.
            target: the other container.
            folder: the folder in it.
            most: bytes that are copied at most.
            root: the ids of the host that are root in the containers; None if they are those of the host.
            user: who gets the copies of root's files; None if they stay root's.

        Raises:
            Failed: it is larger than ``most`` bytes, or cannot be read or written.
        """
        where = self.target(f"/containers/{quoted(source)}/archive", {"path": path})
        there = self.target(f"/containers/{quoted(target)}/archive", {"path": folder})
        headers = {"Content-Type": "application/x-tar"}
        with self.around(), self.connect(idle=_SILENT) as reader, self.connect(idle=_SILENT) as writer:
            pieces: Iterable[bytes] = _bounded(reader.open("GET", where).pieces(), most, path)
            if root is not None or user is not None:
                pieces = remap.mapped(pieces, root=root, user=user)
            with _idle():
                writer.request("PUT", there, pieces, headers)


@contextmanager
def _idle() -> Iterator[None]:
    """Give this thread the processor only while no other program wants it; best effort."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)[:2]))


def _bounded(pieces: Iterable[bytes], most: int, what: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise Failed(f"{what} is larger than {most} bytes")
        yield piece
