"""The place of a page in the site: the addresses of its links, and the header of its page."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from hardener.model import Status
from hardener.reports.lib.statuses import headline
from hardener.run import RunInfo
from hardener.site.rendering import ICON, STYLE, File, Link, page, shown
from hardener.text import scalar, utc

INVENTORIES = "inventories"
_PLAIN = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_OTHERS = re.compile(r"[^a-z0-9]+")
_USUAL = ("hosts", "inventory")  # file names that say nothing: the folder is the name
_LONGEST = 80
_READABLE = 40
_DIGITS = 20  # of the digest: 80 bits


class RunRow(NamedTuple):
    """A run as a row of a list."""

    info: RunInfo
    verb: str
    exit_code: int
    level: int
    limit: str
    only: tuple[str, ...]
    hosts: int
    unreachable: int
    not_begun: int
    change_failed: int
    counts: dict[Status, int]
    baseline: bool
    runs: int  # the runs behind it: several for a state that limited runs have changed

    @property
    def file(self) -> str:
        """Return the file name of the page."""
        return file_name(self.info.run_id)

    @property
    def headline(self) -> tuple[str, str]:
        """Return the result in a few words, and its colour."""
        return headline(self.counts, self.hosts, not_changed=self.not_begun + self.change_failed)

    @property
    def ended(self) -> str:
        """Return the time at which the run ended."""
        return utc(self.info.ended)

    @property
    def part(self) -> str:
        """Return the part of inventory or benchmark to which the run was limited; empty for all."""
        parts = [f"hosts {self.limit}" if self.limit else "", ", ".join(self.only)]
        if self.runs > 1:
            parts.append(f"the newest of {self.runs} runs over parts of the hosts or controls")
        return shown("; ".join(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class Place:
    """An inventory in the site.

    Attributes:
        inventory: its name.
        key: the same for all names of the inventory.
        ended: the end of its last run.
        groups: the groups that have a page.
        controls: the slugs of the controls that have a page: those of the last run.
        decisions: whether there are waivers or attestations.
    """

    inventory: str
    key: str
    ended: datetime
    groups: frozenset[str]
    controls: frozenset[str]
    decisions: bool

    @property
    def folder(self) -> str:
        """Return the folder of the inventory's pages."""
        return inventory_folder(self.key)

    def file(self, name: str, tab: str, template: str, *, title: str, **values: Any) -> File:
        """Return a page of the inventory.

        Args:
            name: path below the folder of the inventory, without its ending.
            tab: the list that it belongs to.
            template: the template that it is rendered by.
            title: the title of the page.
            values: the values for the template.
        """
        base = "../" * name.count("/")
        lists = [("index", "Overview"), ("hosts", "Hosts"), ("groups", "Groups"), ("controls", "Controls")]
        lists += [("runs", "Runs"), ("waivers", "Waivers")]
        shown_lists = [
            (Link(f"{base}{each}.html", text), each == tab)
            for each, text in lists
            if (each != "groups" or self.groups) and (each != "waivers" or self.decisions)
        ]
        top = f"{base}../../"
        text = page(
            template,
            title=title,
            inventory=shown(self.inventory),
            base=base,
            top=Link(f"{top}index.html", "All inventories"),
            style=f"{top}{STYLE}",
            icon=f"{top}{ICON}",
            tabs=shown_lists,
            file_name=file_name,
            linked_controls=self.controls,
            **values,
        )
        return File(f"{self.folder}/{name}.html", text)

    def files(
        self, name: str, tab: str, template: str, pages: list[list[Markup]], *, title: str, **values: Any
    ) -> Iterator[File]:
        """Yield the pages of a list of rows; see ``file``."""
        for number, rows in enumerate(pages, 1):
            yield self.file(
                numbered(name, number),
                tab,
                template,
                title=title,
                rows=rows,
                pager=pager(name.rpartition("/")[2], number, len(pages)),
                first=number == 1,
                **values,
            )


def pager(name: str, number: int, pages: int) -> list[tuple[Link, bool]]:
    """Return links to the pages of a list, and whether each is the current page; none for a single page."""
    if pages == 1:
        return []
    return [(Link(f"{numbered(name, each)}.html", str(each)), each == number) for each in range(1, pages + 1)]


def short_names(inventories: Iterable[str]) -> dict[str, str]:
    """Return a name without folders for each inventory; a list of hosts is its own name.

    ``/srv/prod.yml`` and ``/srv/prod/hosts.yml`` are ``prod``. Inventories with the same name get as many of
    their folders as they need to differ.
    """
    paths = {name: _parts(name) for name in inventories}
    lengths = dict.fromkeys(paths, 1)
    while True:
        named = {name: "/".join(parts[-lengths[name] :]) or name for name, parts in paths.items()}
        count = Counter(named.values())
        longer = [name for name in paths if count[named[name]] > 1 and lengths[name] < len(paths[name])]
        if not longer:
            return {name: short if count[short] == 1 else name for name, short in named.items()}
        for name in longer:
            lengths[name] += 1


def _parts(name: str) -> list[str]:
    """Return the folders and the name of an inventory's path; nothing for a list of hosts."""
    if not name.startswith("/"):
        return []
    *folders, last = [part for part in name.split("/") if part] or [name]
    stem = last.rpartition(".")[0] or last
    return folders if stem in _USUAL and folders else [*folders, stem]


def inventory_folder(key: str) -> str:
    """Return the folder of an inventory's pages, whose name does not tell where the inventory is."""
    name = short_names([key])[key]
    return f"{INVENTORIES}/{file_name(name) if name == key else _with_digest(name, key)}"


def file_name(name: str) -> str:
    """Return a file name without its ending; different names in the history have different file names.

    A name of small letters, digits, dots and hyphens is its own. Any other name becomes a readable part and a
    digest, so that no file name leaves its folder, differs from another only by case, or is too long.
    """
    name = scalar(name)
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name):
        return name
    return _with_digest(name, name)


def _with_digest(name: str, of: str) -> str:
    readable = _OTHERS.sub("-", name[:_LONGEST].lower()).strip("-")[:_READABLE].strip("-")
    digest = hashlib.sha256(scalar(of).encode()).hexdigest()[:_DIGITS]
    return f"{readable}~{digest}"


def numbered(name: str, page: int) -> str:
    """Return the file name of a page of a list; page 1 has the name of the list."""
    return name if page == 1 else f"{name}~{page}"
