"""One run a host at a time."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ..host import descriptors
from .errors import Refused

_HOLDER = 40  # characters, always as many: a file that is not cut needs no new room


class Busy(Refused):
    """Somebody else has the lock."""


@contextmanager
def locked(path: str, *, shared: bool = False, patience: float = 0) -> Iterator[None]:
    """Hold the host's lock; a worker inherits it and holds it on. Who only looks shares it with others.

    Args:
        path: its file.
        shared: only look.
        patience: seconds to wait for whoever has it.

    Raises:
        Busy: another run has it.
        Refused: there can be no lock.
    """
    try:
        with descriptors.at(path) as place:
            place.needed()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(place.name, flags, 0o600, dir_fd=place.folder)
    except OSError as error:
        raise Refused(f"{path} cannot be locked: {error.strerror}") from error
    try:
        _take(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + patience)
        if not os.fstat(handle).st_nlink:  # hardener has just left this host, and its lock with it
            raise Busy("hardener was just released from this host: try again")
        if not shared:
            holder = f"pid {os.getpid()}, since {time.strftime('%H:%M:%S')}"
            with suppress(OSError):  # a full disk: it is for others to read
                os.pwrite(handle, f"{holder:<{_HOLDER}}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, kind: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            holder = os.pread(handle, 100, 0).decode(errors="replace").strip() or "it has just begun"
            raise Busy(f"another run is changing this host ({holder}): try again later") from None
        return
