"""Format a change of a text as a unified diff that `patch` accepts."""

from __future__ import annotations

import difflib

from hardener.text import line


def difference(before: str, after: str, *, name: str) -> str:
    """Return the change of a text as a unified diff; empty without a change. Lines end at line feeds only."""
    shown = line(name)
    found = difflib.unified_diff(before.split("\n"), after.split("\n"), shown, shown, lineterm="")
    return "".join(f"{each.removesuffix(chr(13))}\n" for each in found)
