"""Write values as YAML, with the same meaning for every parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_WORD = re.compile(r"[A-Z][A-Z_]{2,40}")


def quoted(value: Any) -> str:
    """Return a value as JSON, which is valid YAML; words like ``NET_ADMIN`` get no quotes.

    What cannot be seen is escaped as YAML does: the pairs of JSON's escapes would be two characters.
    """
    if isinstance(value, list):
        return f"[{', '.join(map(quoted, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _WORD.fullmatch(value) and value not in ("YES", "NULL", "TRUE", "FALSE", "OFF"):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in text)


def entry(key: str, value: Any, *, lead: str, tag: str = "") -> Iterator[str]:
    """Yield the lines of a mapping's key: a list has one item on each line.

    Args:
        key: a word that needs no quotes.
        value: its value.
        lead: the indentation.
        tag: of the value, such as ``!override``.
    """
    begin = f"{lead}{key}:{f' {tag}' if tag else ''}"
    if isinstance(value, list) and value:
        yield begin
        yield from (f"{lead}  - {quoted(each)}" for each in value)
    else:
        yield f"{begin} {quoted(value)}"
