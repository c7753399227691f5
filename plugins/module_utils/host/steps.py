"""Report the current step of a long task to the controller, for display only.

The worker writes each step to the process that waits for its answer, which passes it on to standard error.
Where either is gone the step is lost, and the work goes on.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Iterable

from ..contract import STEP

_UNKNOWN = re.compile(r"[^a-z0-9-]+")
_LONGEST = 40
_PASSED_ON = 2  # standard error
_worker = -1


def serve(descriptor: int) -> None:
    """Set the descriptor to which this process reports its steps; -1 for none."""
    global _worker  # noqa: PLW0603 - a process is one worker
    _worker = descriptor


def begin(name: str) -> None:
    """Report the beginning of a step; do nothing if no process reads the reports."""
    if _worker >= 0:
        plain = _UNKNOWN.sub(" ", name.lower().replace("'s ", " ")).strip()[:_LONGEST]
        _write(_worker, f"{STEP} {plain}\n".encode())


def answer(lines: Iterable[bytes]) -> bytes:
    """Forward a worker's steps to the controller; return its answer, the last line that is no step."""
    text = b""
    for line in lines:
        if line.startswith(f"{STEP} ".encode()):
            _write(_PASSED_ON, line)
        else:
            text = line
    return text


def _write(descriptor: int, line: bytes) -> None:
    with suppress(OSError):  # the connection is gone
        os.write(descriptor, line)
