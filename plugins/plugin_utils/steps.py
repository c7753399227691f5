"""Extract the steps of a transaction from the host's standard error.

The host is not trusted: short names of plain characters count, and a limited number of them; all else is left
alone. The controller shows them while it waits, and decides nothing by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MOST = 200  # steps of one answer
_LONGEST = 100  # bytes of a line
# ``contract.STEP`` begins a line.
_LINE = re.compile(rb"^hardener-step ([a-z0-9][a-z0-9 -]{0,39})\r?\n", re.MULTILINE)
_TEXT = re.compile(r"^hardener-step [a-z0-9 -]{0,40}\r?\n?", re.MULTILINE)


class Steps:
    """Finds the reported steps in the standard error of a host, which arrives in pieces.

    Args:
        told: called with the name of each step.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._rest = b""
        self._left = _MOST

    def read(self, piece: bytes) -> None:
        """Read a piece of standard error, and pass on each step that it completes."""
        text = self._rest + piece
        for found in _LINE.finditer(text):
            if self._left > 0:
                self._left -= 1
                self._told(found[1].decode())
        self._rest = text[text.rfind(b"\n") + 1 :][:_LONGEST]


def without_steps(text: str) -> str:
    """Return the error output of a host without the reported steps."""
    return _TEXT.sub("", text)
