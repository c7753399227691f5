"""Quote text for unit files and crontabs, so that it has no special meaning there."""

from __future__ import annotations

import shlex
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

_GLOB = "*?["
_NOT_IN_PROGRAM = "$\"'\\"


def value(text: str) -> str:
    """Quote text for a setting that takes the rest of the line, such as Description."""
    _require_printable(text, "a unit file")
    return text.replace("%", "%%")


def word(text: str) -> str:
    """Quote a word of a setting that takes several words, such as Environment or ReadWritePaths."""
    return '"' + value(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def argument(text: str) -> str:
    """Quote an argument of a command line."""
    return word(text).replace("$", "$$")


def program(text: str) -> str:
    """Quote the program of a command line: systemd accepts no quotes there, and does not expand dollars."""
    if any(letter in text for letter in _NOT_IN_PROGRAM):
        raise _refused(text, "a unit file")
    return word(text)


def path(where: Path, *, pattern: bool = False) -> str:
    """Quote a path that takes the rest of the line, where no quotes work: WorkingDirectory, EnvironmentFile.

    Args:
        where: the path.
        pattern: systemd reads the path as a pattern of names.
    """
    text = str(where)
    if text != text.strip() or text.endswith("\\") or (pattern and any(letter in text for letter in _GLOB)):
        raise _refused(text, "a unit file")
    return value(text)


def shell(text: str) -> str:
    """Quote a word of a crontab line for the shell that cron starts."""
    _require_printable(text, "a crontab")
    if "\\%" in text:  # cron removes this backslash, whatever stands before it
        raise _refused(text, "a crontab")
    return shlex.quote(text).replace("%", "\\%")


def _require_printable(text: str, where: str) -> None:
    """Refuse control characters, above all line ends: text after a line end would be another setting."""
    if not text.isprintable():
        raise _refused(text, where)


def _refused(text: str, where: str) -> HardenerError:
    return HardenerError(
        f"{line(repr(text))} cannot be written into {where}", hint="rename the file, or give another value"
    )
