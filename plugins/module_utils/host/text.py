"""Make untrusted texts printable and storable."""

from __future__ import annotations

import os

LONGEST = 300
SHORT, NAME = 120, 200  # characters of a text in a record
# A regular expression for a port in an address: 1 to 65535.
PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


def one_line(text: str, longest: int = LONGEST, *, end: bool = False) -> str:
    """Return a text as one printable line; cut a long text at its end, or with ``end`` at its beginning."""
    part = text[-4 * longest :] if end else text[: 4 * longest]
    line = " ".join("".join(c if c.isprintable() else " " for c in part).split())
    if len(line) <= longest:
        return line
    return "…" + line[1 - longest :] if end else line[: longest - 1] + "…"


def visible(text: str, keep: str = "") -> str:
    """Return a text with invisible characters escaped, except those to keep."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def printable_path(path: str) -> str:
    """Return a path as valid Unicode: names on disk are bytes, JSON needs Unicode."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(text: str | bytes, limit: int = 4096) -> str:
    """Return a text with all invisible characters escaped, such as control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return visible(text[:limit])[:limit]
