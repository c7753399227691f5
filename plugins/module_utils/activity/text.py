"""Text of strangers, within bounds: what is kept of it is short, printable, and fits into a record."""

from __future__ import annotations

SHORT, NAME = 120, 200


def shown(text: str, limit: int = SHORT) -> str:
    """At most so many characters of a text; what cannot be seen becomes a visible escape."""
    text = text[:limit]
    if text.isprintable():
        return text
    visible = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(visible)[:limit]
