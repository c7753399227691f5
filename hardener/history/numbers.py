"""Give each run that changes hosts a rising number; a host refuses a number lower than its last one.

A number is the time in milliseconds, or one more than the highest known number: of this history, or of a host
that was just audited. So the numbers of several control nodes rise in the order in which their runs begin,
and continue to rise if a clock is set back or the history is lost.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from hardener.history.home import Home

_NAME = "number"
_LONGEST = 20  # digits
# A host that is hostile, or whose control node had a wrong clock, must not use up the numbers of all.
_BELIEVED_AHEAD_MS = 366 * 24 * 3600 * 1000


def believed(known: object, *, now: float) -> int:
    """Return the last run number that a host has stored; 0 if its snapshot has no plausible number.

    Args:
        known: the value in the snapshot.
        now: seconds since 1970.
    """
    number = known.get("number") if isinstance(known, Mapping) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return 0
    return number if 0 < number <= now * 1000 + _BELIEVED_AHEAD_MS else 0


def take_number(home: Home, seen: int) -> int:
    """Return the number of a new run, and store it.

    Args:
        home: where the history lies.
        seen: the highest number that is stored on a host of the run; 0 without one.

    Raises:
        HardenerError: it cannot be stored.
    """
    home.prepare()
    try:
        # The file is locked and rewritten in place: a number that is cut off is lower than the hosts' own.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(home.path / _NAME, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            number = next_number(_last(os.pread(descriptor, _LONGEST + 1, 0)), seen, now=time.time())
            os.pwrite(descriptor, f"{number:0{_LONGEST}}".encode("ascii"), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise home.failure(error) from error
    return number


def next_number(last: int, seen: int, *, now: float) -> int:
    """Return a number that is higher than all known numbers.

    Args:
        last: the last number of this history; 0 without one.
        seen: the highest number that a host has stored; 0 without one.
        now: seconds since 1970.
    """
    return max(int(now * 1000), last + 1, seen + 1)


def _last(content: bytes) -> int:
    with suppress(ValueError):
        return int(content[:_LONGEST].decode("ascii"))
    return 0
