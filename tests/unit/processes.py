"""Processes that begin where the test is: no interpreter has to start."""

from __future__ import annotations

import os
from collections.abc import Callable


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
