"""Make names and paths that a container chose printable: one line of valid Unicode."""

from __future__ import annotations

from ..host.text import visible


def shown(text: str | bytes, limit: int = 4096) -> str:
    """Return a text with all invisible characters escaped, such as control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return visible(text[:limit])[:limit]
