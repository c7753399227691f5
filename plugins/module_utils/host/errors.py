"""Errors of facts that are absent or cannot be read, and their description."""

from __future__ import annotations

from .text import one_line


class Absent(Exception):  # noqa: N818 - it is a state of the world, not a defect
    """The requested source, file or program does not exist on this host."""


class Failed(Exception):  # noqa: N818 - as above
    """A source exists and could not be read, or a program did not succeed."""


def describe(error: BaseException) -> str:
    """Return an exception as one line."""
    if isinstance(error, (Absent, Failed)):
        return one_line(str(error))
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return one_line(f"{type(error).__name__}: {error}")
