"""Make text that strangers wrote safe to show: container names, labels, image history, error messages.

Whoever runs a container chooses such text, and it ends in XML, JSON and terminals. What cannot be seen there
(escape sequences, bidirectional overrides, zero-width characters, halves of surrogate pairs, noncharacters)
becomes a visible escape, as ``repr`` would show it: nothing is dropped silently, and nothing acts on the
reader. All that XML 1.0 forbids is among it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

_BLANKS = re.compile(r"[ \t\r\n]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def shorten(text: str, limit: int) -> str:
    """The first ``limit`` characters, and how many were left out."""
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit} characters)"


def line(text: str, limit: int = 300) -> str:
    """One line for a name, a message or a table cell: blanks and line ends become single spaces."""
    return visible(shorten(_BLANKS.sub(" ", text).strip(" "), limit))


def block(text: str, limit: int = 20_000) -> str:
    """Text of several lines: line ends stay, tabs become spaces."""
    lines = shorten(text, limit).replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(visible(part) for part in lines)


def scalar(text: str, limit: int = 10_000) -> str:
    """Text for a JSON value, unchanged but for its length and the halves of surrogate pairs.

    Half a pair is no character: strict readers refuse the whole document for it.
    """
    return _SURROGATE.sub("\ufffd", shorten(text, limit))


def visible(text: str) -> str:
    """Text of any length with an escape for each character that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def first(items: Sequence[str], limit: int) -> Iterator[str]:
    """Give the first items, and how many more there are."""
    yield from items[:limit]
    if len(items) > limit:
        yield f"+{len(items) - limit} more"


def utc(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the second: ``2026-11-25T00:30:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
