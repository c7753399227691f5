"""Lock the host, so that only one run works on it at a time."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ..host import descriptors
from .errors import Refused

_RELEASED = "hardener was just released from this host: try again"
_HOLDER = 40  # characters, a fixed length: a file that is not truncated needs no new room


class Busy(Refused):
    """Another run holds the lock."""


@contextmanager
def locked(path: str, *, shared: bool = False, patience: float = 0) -> Iterator[None]:
    """Hold the host's lock; a worker inherits it. Read-only callers share it.

    Args:
        path: its file.
        shared: read only.
        patience: seconds to wait for the holder.

    Raises:
        Busy: another run has it.
        Refused: there can be no lock.
    """
    try:
        with descriptors.at(path) as place:
            place.needed()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(place.name, flags, 0o600, dir_fd=place.folder)
    except FileNotFoundError:
        raise Busy(_RELEASED) from None
    except OSError as error:
        raise Refused(f"{path} cannot be locked: {error.strerror}") from error
    try:
        _acquire(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + patience)
        if not os.fstat(handle).st_nlink:  # a release has just removed the lock file
            raise Busy(_RELEASED)
        if not shared:
            holder = f"pid {os.getpid()}, since {time.strftime('%H:%M:%S')}"
            with suppress(OSError):  # a full disk: the content only informs others
                os.pwrite(handle, f"{holder:<{_HOLDER}}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, kind: int, deadline: float) -> None:
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
