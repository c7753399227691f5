"""Prepare the standard streams, so that a closed one does not end a run.

Progress and messages on standard error are for a person. A run that changes hosts must not end in the middle,
nor with another exit code, because the reader of that stream is gone.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

_STANDARD_ERROR = 2


def prepare_standard_streams() -> None:
    """Open closed streams (``>&-``) as /dev/null, and ignore failures to write messages."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:  # another file would get its number
            _lead_nowhere(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.flush()
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Messages(_STANDARD_ERROR, "w", closefd=False)),
            encoding=sys.stderr.encoding,
            errors=sys.stderr.errors,
            line_buffering=True,
        )


class _Messages(io.FileIO):
    """Standard error that drops output if the reader is gone or the disk is full."""

    def write(self, data: Any, /) -> int:
        """Write as many bytes as possible now; after a failure, drop all further output."""
        try:
            return super().write(data)
        except OSError:
            with suppress(OSError):
                _lead_nowhere(self.fileno())  # also for programs that are started from now on
            return len(data)


def _lead_nowhere(number: int) -> None:
    """Redirect a descriptor to /dev/null."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
