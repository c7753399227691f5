"""Select from the opened files of a container those that a recording has."""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping

from .text import shown

_GONE = " (deleted)"  # the kernel's mark of a file that has no name


def read(opens: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths that were opened to read, those of folders with a slash at the end.

    Args:
        opens: opened files (``layout.opens``).
    """
    found = set()
    for each in opens:
        path = shown(each["path"])
        if each["read"] and not path.endswith(_GONE):
            found.add(f"{path.rstrip('/')}/" if each["folder"] else path)
    return sorted(found)


def users(
    opens: Iterable[Mapping[str, Any]], *, changed: Collection[str], executed: Collection[str]
) -> dict[str, dict[str, list[Any]]]:
    """Return which programs opened a path to change or to execute it, and the numbers of the phases.

    Args:
        opens: opened files (``layout.opens``).
        changed: paths; one with a slash at the end stands for the files that were in a folder.
        executed: paths.
    """
    found: dict[str, tuple[set[str], set[int]]] = {}
    for each in opens:
        path = shown(each["path"])
        paths = {path, f"{path.rpartition('/')[0]}/"} & set(changed) if each["written"] else set()
        if each["executed"] and path in executed:
            paths.add(path)
        for known in paths:
            programs, phases = found.setdefault(known, (set(), set()))
            programs.add(each["program"])
            phases.update(each["phases"])
    return {
        path: {"programs": sorted(programs), "phases": sorted(phases)}
        for path, (programs, phases) in sorted(found.items())
    }
