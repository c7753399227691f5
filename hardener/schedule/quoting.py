"""Text in unit files and crontabs, so that it means itself there and nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

_GLOB = "*?["
_NOT_IN_PROGRAM = "$\"'\\"


def value(text: str) -> str:
    """Text for a setting that takes the rest of the line, such as Description."""
    _require_printable(text, "a unit file")
    return text.replace("%", "%%")


def word(text: str) -> str:
    """One of the words of a setting that takes several, such as Environment or ReadWritePaths."""
    return '"' + value(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def argument(text: str) -> str:
    """An argument of a command line."""
    return word(text).replace("$", "$$")


def program(text: str) -> str:
    """The program of a command line: systemd takes no path with quotes, and its dollars are not expanded."""
    if any(letter in text for letter in _NOT_IN_PROGRAM):
        raise _refused(text, "a unit file")
    return word(text)


def path(where: Path, *, pattern: bool = False) -> str:
    """A path that takes the rest of the line, which nothing can quote: WorkingDirectory, EnvironmentFile.

    Args:
        where: the path.
        pattern: systemd takes it for a pattern of names.
    """
    text = str(where)
    if text != text.strip() or text.endswith("\\") or (pattern and any(letter in text for letter in _GLOB)):
        raise _refused(text, "a unit file")
    return value(text)


def shell(text: str) -> str:
    """A word of a line in a crontab, for the shell that cron starts."""
    _require_printable(text, "a crontab")
    if "\\%" in text:  # cron takes the backslash away, whatever stands before it
        raise _refused(text, "a crontab")
    return shlex.quote(text).replace("%", "\\%")


def _require_printable(text: str, where: str) -> None:
    """Refuse line ends above all: what follows one is a setting of its own."""
    if not text.isprintable():
        raise _refused(text, where)


def _refused(text: str, where: str) -> HardenerError:
    return HardenerError(f"{line(repr(text))} cannot be written into {where}", hint="give it another name")
