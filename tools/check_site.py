"""Check that the built documentation site loads nothing from other hosts: ``check_site.py FOLDER``.

Links that a reader may follow are fine. What a browser fetches by itself has to lie in the site: scripts,
styles, pictures, fonts, frames. Each page has the policy that makes browsers refuse all else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_FETCHED = {
    (element, attribute)
    for attribute, elements in {
        "data": ("object",),
        "href": ("link", "use"),
        "poster": ("video",),
        "src": ("audio", "embed", "iframe", "img", "input", "script", "source", "video"),
        "srcset": ("img", "source"),
    }.items()
    for element in elements
}
_NOT_FETCHED = ({"canonical"}, {"prev"}, {"next"}, {"alternate"})  # kinds of <link>
_ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?((?:[a-z]+:)?//[^"')\s]+)""", re.IGNORECASE)


class _Page(HTMLParser):
    """Collects the addresses that a page loads from other hosts, and whether it has a security policy."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.has_policy = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the addresses in the attributes of an element."""
        known = {name: value or "" for name, value in attrs}
        if tag == "meta" and known.get("http-equiv") == "Content-Security-Policy":
            self.has_policy = "default-src 'none'" in known.get("content", "")
        if tag == "link" and set(known.get("rel", "").split()) in _NOT_FETCHED:
            return
        self.fetched += [
            value for name, value in known.items() if (tag, name) in _FETCHED and _ELSEWHERE.match(value)
        ]
        self.fetched += _IN_STYLES.findall(known.get("style", ""))


def problems(site: Path) -> Iterator[str]:
    """Yield the errors, each with its file."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: there is no page"
    for path in pages:
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)} fetches {address}" for address in page.fetched)
        if not page.has_policy:
            yield f"{path.relative_to(site)} has no Content-Security-Policy"
    for path in sorted(site.rglob("*.css")):
        for address in _IN_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} fetches {address}"


def main(site: str) -> int:
    """Print every error; return 1 if there are any."""
    found = list(problems(Path(site)))
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
