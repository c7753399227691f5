"""Render the sources of a snapshot in docs/snapshot.md from the schema; `make docs` writes them.

``hardener/snapshot.schema.json`` is the one place for a source: its shape, and what its members mean
(``description``).
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
SCHEMA = _ROOT / "hardener" / "snapshot.schema.json"
PAGE = _ROOT / "docs" / "snapshot.md"
BEGIN = "<!-- Generated from hardener/snapshot.schema.json: change it there, then `make docs`. -->"
END = "<!-- What follows is written by hand. -->"


def page(text: str, schema: str) -> str:
    """Return the page with its sources as the schema describes them.

    Args:
        text: the page as it is.
        schema: the schema, as JSON.

    Raises:
        ValueError: the page has not both marks, or a source no description.
    """
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"{PAGE} needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{''.join(_sources(json.loads(schema)))}{END}{tail}"


def _sources(schema: dict[str, dict[str, dict[str, dict[str, str]]]]) -> Iterator[str]:
    for name in schema["properties"]["sources"]["properties"]:
        described = schema["$defs"][name].get("description")
        if not described:
            raise ValueError(f"{SCHEMA}: {name} has no description")
        lines = textwrap.wrap(str(described), 120, break_long_words=False, break_on_hyphens=False)
        yield "\n".join((f"### `{name}`", "", *lines, "", ""))
