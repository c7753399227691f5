"""Make untrusted text safe to show: container names, labels, image history, error messages.

Any user of Docker can choose such text, which is shown in XML, JSON and terminals. Each invisible character
(escape sequences, bidirectional overrides, zero-width characters, unpaired surrogates, noncharacters) is
replaced by a visible escape, as in ``repr``: no character is dropped, and none controls the terminal. This
includes all characters that XML 1.0 forbids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

_BLANKS = re.compile(r"[ \t\r\n]+")
LONGEST = 5_000  # characters of a foreign text in an error or a finding: more than the longest path
_SURROGATE = re.compile("[\ud800-\udfff]")


def shorten(text: str, limit: int) -> str:
    """Return the first ``limit`` characters and the number of the others, unless that is no shorter."""
    if len(text) <= limit:
        return text
    short = f"{text[:limit]}… (+{len(text) - limit} characters)"
    return short if len(short) < len(text) else text


def line(text: str, limit: int = 300) -> str:
    """Return a text on one line: each run of blanks and line ends becomes a single space."""
    if not text.isprintable() or "  " in text:  # few texts need the expression, which takes longer
        text = _BLANKS.sub(" ", text)
    return visible(shorten(text.strip(" "), limit))


def block(text: str, limit: int = 20_000) -> str:
    """Return a text of several lines: line ends stay, tabs become spaces."""
    lines = shorten(text, limit).replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(visible(part) for part in lines)


def scalar(text: str, limit: int = 10_000) -> str:
    """Prepare a text for a JSON value: limit its length, and replace unpaired surrogates by U+FFFD.

    Strict readers refuse a document with an unpaired surrogate.
    """
    return _SURROGATE.sub("\ufffd", shorten(text, limit))


def visible(text: str) -> str:
    """Replace each invisible character by a visible escape; the length is not limited."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def first(items: Sequence[str], limit: int) -> Iterator[str]:
    """Return the first items and, if others are omitted, their number as a last item."""
    yield from items[:limit]
    if len(items) > limit:
        yield f"+{len(items) - limit} more"


def utc(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC, to the second: ``2026-11-25T00:30:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
