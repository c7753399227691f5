"""Text of strangers, within bounds: what is kept of it is short, printable, and fits into a record."""

from __future__ import annotations

from ..host.text import visible

SHORT, NAME = 120, 200


def shown(text: str, limit: int = SHORT) -> str:
    """At most so many characters of a text; what cannot be seen becomes a visible escape."""
    return visible(text[:limit])[:limit]
