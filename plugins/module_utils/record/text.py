"""Names and paths that a container chose, as one line that can be shown and is valid Unicode."""

from __future__ import annotations

from ..host.text import visible


def shown(text: str | bytes, limit: int = 4096) -> str:
    """A text with everything escaped that cannot be seen, such as control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return visible(text[:limit])[:limit]
