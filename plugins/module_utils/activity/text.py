"""Clean untrusted text: bounded, printable, and short enough for a record."""

from __future__ import annotations

from ..host.text import visible

SHORT, NAME = 120, 200


def printable(text: str, limit: int = SHORT) -> str:
    """Return at most `limit` characters of a text; unprintable characters are escaped."""
    return visible(text[:limit])[:limit]
