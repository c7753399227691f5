"""Write the site of a history and read it: pages, links, what a browser would load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from hardener.history import AssessmentStore, History, RunRecord
from hardener.model import Assessment, Decisions
from hardener.run import RunInfo
from hardener.site.folder import Written
from hardener.workflows.site import write_site
from tests.unit.reports.assessments import BENCHMARK

NOW = datetime.now(UTC).replace(microsecond=0)
LARGEST = 1_000_000  # bytes of a page
_TAGS = """
    html head meta link title body a header p b span nav main h1 h2 ul ol li i svg rect path polyline div
    table caption thead tbody tr th td small pre time dl dt dd code details summary figure figcaption footer
"""
_ATTRIBUTES = """
    lang charset name content http-equiv rel href class id tabindex aria-label aria-current scope datetime
    title viewbox preserveaspectratio role x y width height d points fill stroke
"""


@dataclass
class Page(HTMLParser):
    """A page as a parser sees it."""

    text: str
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS.split():
            self.strange.append(tag)
        for name, value in attrs:
            if name not in _ATTRIBUTES.split():
                self.strange.append(f"{tag} {name}")
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def record(
    home: Path,
    name: str,
    hosts: Iterable[Assessment],
    *,
    day: int = 0,
    inventory: str = "/srv/prod.yml",
    decisions: Decisions | None = None,
    verb: str = "audit",
    limit: str = "",
    only: tuple[str, ...] = (),
) -> None:
    """Record a run that ended so many days after the first one."""
    ended = NOW - timedelta(days=100 - day)
    info = RunInfo(
        name, "0.2.0", BENCHMARK, "c0ffee" * 10, "2.19", ended - timedelta(seconds=9), ended, decisions
    )
    store = AssessmentStore()
    for each in hosts:
        store.add(each)
    kept = RunRecord(info=info, verb=verb, exit_code=3, inventory=inventory, limit=limit, only=only)
    with History(home).begin() as recording:
        recording.finish(kept, store)


def written(home: Path, out: Path) -> Written:
    """Write the site."""
    return write_site(home, out, begun=lambda *_: None)


def grouped(assessment: Assessment, *groups: str) -> Assessment:
    """The same host in groups of the inventory."""
    return replace(assessment, groups=groups)


def pages(out: Path) -> dict[str, Page]:
    """All pages by path; each is whole and small, and none is what it should not be."""
    found = {}
    for path in sorted(out.rglob("*.html")):
        data = path.read_bytes()
        name = path.relative_to(out).as_posix()
        assert len(data) < LARGEST, name
        assert data.endswith(b"</html>"), name
        page = found[name] = Page(data.decode())
        assert not page.strange, (name, page.strange[:5])
        assert len(set(page.ids)) == len(page.ids), name
    return found


def dead_links(out: Path, found: dict[str, Page]) -> Iterator[tuple[str, str]]:
    """Links that lead nowhere, or elsewhere: page and address."""
    for name, page in found.items():
        for link in page.links:
            parts = urlsplit(urljoin(f"http://site/{name}", link))
            target = unquote(parts.path).lstrip("/")
            is_dead = parts.netloc != "site" or not (out / target).is_file()
            if is_dead or (parts.fragment and unquote(parts.fragment) not in found[target].ids):
                yield name, link
