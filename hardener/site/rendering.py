"""Render pages as HTML: an environment with escaping, lists that are split into pages, a digest of sources.

The style sheet is that of the HTML report, followed by rules for the site.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from hardener import __version__
from hardener.model import Severity, Status
from hardener.reports.lib.page import PAGE, environment, policy
from hardener.reports.lib.statuses import ORDER, WORDS
from hardener.summary import percentage
from hardener.text import line

_ROOM = Path(__file__).parent
_TEMPLATES = _ROOM / "templates"
_ROWS = 500  # of a list on one page
_BYTES = 700_000  # of its rows; the frame and the charts stay below 200 kB
_CUT = 200  # characters of a text that a stranger chose

STYLE = "style.css"
ICON = "icon.svg"


class File(NamedTuple):
    """A file of the site: its path and its content."""

    path: str
    text: str


class Link(NamedTuple):
    """A link: its address, relative to the page, and its text."""

    href: str
    text: str


def shown(text: str, limit: int = _CUT) -> str:
    """Return an untrusted text on one line, safe to show."""
    return line(text, limit)


def page(template: str, **values: Any) -> str:
    """Return the HTML of a page, rendered by its template."""
    return _environment().get_template(f"{template}.html").render(values)


def row(name: str, *values: Any) -> Markup:
    """Return the HTML of one row, by the macro of that name in ``rows.html``."""
    macro = getattr(_environment().get_template("rows.html").module, name)
    return Markup(macro(*values))  # noqa: S704 - a macro escapes its values


def paged(rows: Iterable[Markup]) -> Iterator[list[Markup]]:
    """Yield rows in lists that each fit on one page; yield one empty list if there are no rows."""
    full: list[Markup] = []
    size, yielded = 0, False
    for each in rows:
        length = len(each.encode("utf-8", "backslashreplace"))
        if full and (size + length > _BYTES or len(full) == _ROWS):
            yield full
            full, size, yielded = [], 0, True
        full.append(each)
        size += length
    if full or not yielded:
        yield full


def fitting(rows: Sequence[tuple[Markup, Markup]]) -> list[Markup]:
    """Return the first text of each pair while the page has room, then the shorter second text."""
    left = _BYTES - sum(len(short.encode("utf-8", "backslashreplace")) for _, short in rows)
    chosen = []
    for long, short in rows:
        left -= len(long.encode("utf-8", "backslashreplace")) - len(short.encode("utf-8", "backslashreplace"))
        chosen.append(long if left >= 0 else short)
    return chosen


def assets() -> Iterator[File]:
    """Yield the files that all pages use."""
    styles = (PAGE / "page.css", _TEMPLATES / "site.css")
    yield File(STYLE, "\n".join(path.read_text(encoding="utf-8") for path in styles))
    yield File(ICON, (_TEMPLATES / ICON).read_text(encoding="utf-8"))


@cache
def digest() -> str:
    """Return a digest of what pages depend on besides runs: code, templates, version."""
    whole = hashlib.sha256(__version__.encode())
    for path in sorted(
        (*_ROOM.rglob("*.py"), *_TEMPLATES.iterdir(), PAGE / "plots.html", PAGE / "head.html")
    ):
        whole.update(path.read_bytes())
    return whole.hexdigest()


@cache
def _environment() -> Environment:
    made = environment(_TEMPLATES)
    made.globals.update(
        policy=policy("'self'", image="'self'"),
        statuses=[status.value for status in ORDER],
        words={status.value: WORDS[status] for status in Status},
        severities=[severity.value for severity in Severity],
        version=__version__,
    )
    made.filters["moment"] = lambda text: text.replace("T", " ").replace("Z", " UTC")
    made.filters["thin"] = lambda number: f"{number:,}".replace(",", "\u2009")
    made.filters["percent"] = percentage
    return made
