"""Errors that a user sees, and the exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from hardener.text import LONGEST, shorten


class ExitCode(IntEnum):
    """Exit codes by increasing precedence: of several that apply to a run, the last one is its exit code.

    First comes what a run has found, then what it was asked to change and did not change, then how the
    command itself ended. Scripts rely on the numbers; README.md has the same table.
    """

    meaning: str

    COMPLIANT = 0, "every control passes, is manual, does not apply or is waived"
    REPAIRED = 7, "what had drifted is repaired (`hardener drift --remediate`)"
    INCOMPLETE = 4, "a host or a control could not be evaluated, and nothing fails"
    NOT_COMPLIANT = 3, "a control fails, or another check does: evidence, images, updates, a proof, waivers"
    DRIFTED = 6, "a control, or a variable that was applied, has drifted (`hardener drift`)"
    CHANGE_FAILED = 9, "a change failed, or a host refused it or could not be reached for it"
    NOT_BEGUN = 8, "changes of some hosts were not begun: a limit of failures or a maintenance window"
    ROLLED_BACK = 5, "a change was rolled back"
    USAGE = 2, "usage: a wrong option, file or inventory"
    INTERNAL = 1, "hardener itself failed"
    OUTPUT_CLOSED = 141, "a command that only prints lost its reader, such as `head`"
    INTERRUPTED = 130, "interrupted"

    def __new__(cls, number: int, meaning: str) -> Self:
        """Make a code, which has a meaning beside its number."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code


class HardenerError(Exception):
    """A problem that the user can solve; shown as one line, never with a traceback.

    Args:
        message: the problem, with the file, the key or the host; shortened, as it may quote a foreign text.
        hint: the way to solve it.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = shorten(message, LONGEST)
        super().__init__(self.message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InternalError(HardenerError):
    """A defect of hardener itself or of a tool it drives."""

    exit_code = ExitCode.INTERNAL
