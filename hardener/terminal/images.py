"""Show the images of hosts and whether they are trusted, with rich."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line

_COLOURS = {
    "verified": "green",
    "pinned": "green",
    "allowed": "green",
    "exempt": "yellow",
    "unreachable": "magenta",
}
_TRUSTED_SHOWN = 20
_STATUS = 12  # columns; as wide as the longest known status


def trust_screen(host: str, images: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Return the screen of one host: untrusted images first, then trusted ones, then the totals."""
    yield Padding(Text(line(host, 60), style="bold"), (1, 1, 0, 1))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(max_width=_STATUS, overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    trusted = [image for image in images if _COLOURS.get(image["status"]) == "green"]
    doubtful = [image for image in images if image not in trusted]
    for image in (*doubtful, *trusted[:_TRUSTED_SHOWN]):
        status = line(image["status"], 30)
        detail = "; ".join(filter(None, (line(image["detail"]), _containers_text(image["containers"]))))
        table.add_row(Text(status, style=_COLOURS.get(status, "red")), Text(image_name(image)), Text(detail))
    yield Padding(table, (0, 1))
    if len(trusted) > _TRUSTED_SHOWN:
        yield Padding(Text(f"and {len(trusted) - _TRUSTED_SHOWN} more that are trusted"), (0, 1))
    counts = Counter(line(image["status"], 30) for image in images)
    yield Padding(
        Text(", ".join(f"{number} {status}" for status, number in counts.items()) or "no images"), (0, 1)
    )


def image_name(image: Mapping[str, Any]) -> str:
    """Return the first name of an image; without a name the beginning of its id."""
    return line((image["names"] or [image["id"].removeprefix("sha256:")[:12]])[0], 120)


def _containers_text(containers: Sequence[Mapping[str, Any]]) -> str:
    """Describe the containers of an image, and whether they refer to it by digest."""
    if not containers:
        return ""
    names = ", ".join(line(each["name"], 40) for each in containers[:3])
    more = f" and {len(containers) - 3} more" if len(containers) > 3 else ""
    by_tag = any(not each["by_digest"] for each in containers)
    return f"used by {names}{more}, referred to by {'a tag' if by_tag else 'its digest'}"
