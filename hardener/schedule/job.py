"""The command of a schedule, and the files that it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command, and the files that it needs on the machine.

    ``reads`` are files and folders that its arguments name, ``writes`` the folders that it writes into
    besides its home. A job is ``confined`` unless it audits this machine, of which it then needs an
    unrestricted view.

    Raises:
        HardenerError: its name is invalid.
    """

    name: str
    command: tuple[str, ...]  # the program with its full path, and its arguments
    folder: Path  # current folder: relative paths in the arguments start here
    home: Path
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    confined: bool = True

    def __post_init__(self) -> None:
        """Refuse a name that cannot be part of a unit name.

        Raises:
            HardenerError: it cannot.
        """
        require_name(self.name)

    @property
    def environment_file(self) -> Path:
        """Return the path of the job's environment file, for secrets such as the URL of a webhook."""
        return self.home / "environment"


def require_name(name: str) -> None:
    """Refuse an invalid name of a schedule.

    Raises:
        HardenerError: it is invalid.
    """
    if not _NAME.fullmatch(name):
        raise HardenerError(
            f"{line(repr(name))} is not a name of a schedule", hint="small letters, digits and hyphens"
        )
