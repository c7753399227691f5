"""Errors that a user sees, and the exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes: one number for each way in which a command can end. Scripts rely on them."""

    COMPLIANT = 0
    INTERNAL = 1
    USAGE = 2
    NOT_COMPLIANT = 3
    INCOMPLETE = 4
    ROLLED_BACK = 5
    DRIFTED = 6
    REPAIRED = 7
    NOT_BEGUN = 8
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class HardenerError(Exception):
    """A problem that the user can solve; shown as one line, never with a traceback.

    Args:
        message: the problem, with the file, the key or the host.
        hint: the way to solve it.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InternalError(HardenerError):
    """A defect of hardener itself or of a tool it drives."""

    exit_code = ExitCode.INTERNAL
