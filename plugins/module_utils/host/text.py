"""Texts of others as what can be printed and stored."""

from __future__ import annotations

import os

LONGEST = 300


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text as one printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def printable_path(path: str) -> str:
    """Return a path as valid Unicode: names on disk are bytes, and JSON is not."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
