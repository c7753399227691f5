"""Write untrusted text in Markdown as code spans, in which no syntax has a meaning.

No link, mention, image, merge request command or HTML is possible. Not for tables: parsers disagree about a
``|`` after a backslash.
"""

from __future__ import annotations

import re

from hardener.text import line


def code(text: str, limit: int = 300) -> str:
    """Return a text on one line as a code span; invisible characters become visible."""
    shown = line(text, limit)
    if not shown:
        return "*(empty)*"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
