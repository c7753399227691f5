"""Prepare the standard streams, so that a closed stream does not end a run.

Progress and messages on standard error are for a person. A run that changes hosts must not end in the middle,
nor with another exit code, because the reader of that stream is gone. The same applies to the results on
standard output of a run over hosts; a command that only prints ends where its reader is gone (``… | head``).
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2


class OutputClosedError(Exception):
    """The reader of standard output has closed it, so the command can stop printing.

    It is not an ``OSError``: a closed pipe of another program must not end a command in silence.
    """


def prepare_standard_streams() -> None:
    """Open closed streams (``>&-``) as /dev/null, and ignore failures to write messages."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:  # another file would get its number
            _lead_nowhere(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _rewrapped(sys.stderr, _Messages(_STANDARD_ERROR, "w", closefd=False), by_line=True)
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        raw = _Results(_STANDARD_OUTPUT, "w", closefd=False)
        sys.stdout = _rewrapped(sys.stdout, raw, by_line=sys.stdout.line_buffering)


def outlive_reader() -> None:
    """From now on, drop output if standard output is closed, so that the run reaches its own exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.BufferedWriter):
        raw = sys.stdout.buffer.raw
        if isinstance(raw, _Results):
            raw.outlives_reader = True


def _rewrapped(stream: io.TextIOWrapper, raw: io.FileIO, *, by_line: bool) -> io.TextIOWrapper:
    """Return a text stream like this one that writes to ``raw``."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=by_line
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


class _Results(io.FileIO):
    """Standard output: a failed write ends the command, and all later output is dropped.

    Attributes:
        outlives_reader: whether the command goes on when the reader is gone.
    """

    outlives_reader = False

    def write(self, data: Any, /) -> int:
        """Write as many bytes as possible now.

        Raises:
            OutputClosedError: the reader is gone.
            OSError: nothing can be written; further output is dropped, so that the exit does not try again.
        """
        try:
            return super().write(data)
        except OSError as error:
            with suppress(OSError):
                _lead_nowhere(self.fileno())
            if not isinstance(error, BrokenPipeError):
                raise
            if self.outlives_reader:
                return len(data)
            raise OutputClosedError from None


def _lead_nowhere(number: int) -> None:
    """Redirect a descriptor to /dev/null."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
