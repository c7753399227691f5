"""The files that this process has open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def handles() -> set[tuple[str, str]]:
    """Return number and target of each.

    Compare what is new: what earlier tests have left open may go at any moment.
    """
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((path.name, str(path.readlink())))
    return found
