"""The files that this process has open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def handles(prefix: str = "") -> set[tuple[str, str]]:
    """Return number and target of each whose target begins so.

    Compare what is new: what earlier tests have left open may go at any moment. Threads that they have left
    may open others, so name the folder if the test is about files of one.
    """
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((path.name, str(path.readlink())))
    return {each for each in found if each[1].startswith(prefix)}
