"""The error for a refused bundle or ledger."""

from __future__ import annotations

from hardener.errors import ExitCode, HardenerError
from hardener.text import line


class Refused(HardenerError):  # noqa: N818 - a state of the evidence, not a defect
    """A bundle or ledger is refused; the text is one line that names the file.

    Args:
        file: the bundle or ledger, or the file in it; an untrusted name.
        reason: the problem of the file.
    """

    exit_code = ExitCode.NOT_COMPLIANT

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{line(file) or '(no name)'}: {line(reason, 1000)}")
        self.file = file
