"""Names and paths that a container chose, as one line that can be shown and is valid Unicode."""

from __future__ import annotations


def shown(text: str | bytes, limit: int = 4096) -> str:
    """A text with everything escaped that cannot be seen, such as control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    text = text[:limit]
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
            for c in text
        )
    return text[:limit]
