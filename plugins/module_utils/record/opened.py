"""Select from the files that a container opened what a recording has of them."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from .text import shown

_GONE = " (deleted)"  # the kernel's mark of a file that has no name


def read(reads: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths that were opened to read, those of folders with a slash at the end.

    Args:
        reads: files that were opened to read (``layout.reads``).
    """
    found = set()
    for each in reads:
        path = shown(each["path"])
        if not path.endswith(_GONE):
            found.add(f"{path.rstrip('/')}/" if each["folder"] else path)
    return sorted(found)


def used_by(
    uses: Iterable[Mapping[str, Any]], changed: set[str], executed: set[str]
) -> dict[str, dict[str, list[Any]]]:
    """Return which programs opened a path to write or to execute it, and the numbers of the phases.

    Args:
        uses: files that were opened for that (``layout.uses``).
        changed: paths; one with a slash at the end stands for the files in the folder that are not listed.
        executed: paths.
    """
    found: dict[str, tuple[set[str], set[int]]] = {}
    for each in uses:
        path = shown(each["path"])
        ways = []
        if each["written"]:
            ways.append(
                (path if path in changed else f"{path.rpartition('/')[0]}/", changed, each["written"])
            )
        if each["executed"]:
            ways.append((path, executed, each["executed"]))
        for key, listed, when in ways:
            if key in listed:
                programs, phases = found.setdefault(key, (set(), set()))
                programs.add(each["program"])
                phases.update(when)
    return {
        path: {"programs": sorted(programs), "phases": sorted(phases)}
        for path, (programs, phases) in sorted(found.items())
    }
