"""Text of strangers in Markdown: as code, which is the one place where nothing in it means anything.

No link, no mention, no image, no command of a merge request, no HTML. Not for tables: readers do not agree
what a ``|`` after a backslash is there.
"""

from __future__ import annotations

import re

from hardener.text import line


def code(text: str, limit: int = 300) -> str:
    """A code span that holds exactly this text, on one line, what cannot be seen made visible."""
    shown = line(text, limit)
    if not shown:
        return "*(empty)*"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
