"""Processes that begin where the test is: no interpreter has to start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def child(work: Callable[[], object]) -> int:
    """A process that does some work; its identifier."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


# Seconds that a program gets, one after the other, until it has come as far as a test needs: on a busy
# machine a shell may take longer to start than the test would have it run.
GROWING = (0.3, 3.0, 30.0)


def ended(pid: int, *, seconds: float = 60) -> bool:
    """Whether a process ends that was killed: under load the kernel may take its time for that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False
