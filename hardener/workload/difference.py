"""A change of a text as a unified diff, the way `patch` and people read it."""

from __future__ import annotations

import difflib

from hardener.text import line


def difference(before: str, after: str, *, name: str) -> str:
    """The diff; empty where nothing changes. Lines end where a line feed is, and nowhere else."""
    shown = line(name)
    found = difflib.unified_diff(before.split("\n"), after.split("\n"), shown, shown, lineterm="")
    return "".join(f"{each.removesuffix(chr(13))}\n" for each in found)
