"""Write the README for the package index: its links lead to the documentation site.

hatchling calls this as a metadata hook. ``HARDENER_DOCS_URL`` is the address of the site. Without it no
address is known, so that links become plain text and pictures are left out: a package index has no file
to link to.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^][]*)\]\((?!\w+:|#)(?P<path>[^][()\s#]+)(?P<anchor>#[^][()\s]*)?\)"
)

_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "SECURITY.md": "security.md",
}


def site_path(path: str) -> str:
    """Return the path that a file of the repository has in the sources of the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if role := re.fullmatch(r"roles/(\w+)/README\.md", path):
        return f"reference/roles/{role[1]}.md"
    return _PAGES.get(path, f"files/{path}")


def address(path: str) -> str:
    """Return the address of a file of the repository, relative to the root of the site."""
    source = site_path(path)
    folder, name = posixpath.split(source)
    page = "index.html" if name in ("README.md", "index.md") else re.sub(r"\.md$", ".html", name)
    return posixpath.join(folder, page)


def published(text: str, site: str) -> str:
    """Return the README with links to the site at this address; without an address, remove the links."""

    def replaced(link: re.Match[str]) -> str:
        if not site:
            return "" if link["picture"] else link["text"]
        target = f"{site.rstrip('/')}/{address(posixpath.normpath(link['path']))}{link['anchor'] or ''}"
        return f"{link['picture']}[{link['text']}]({target})"

    return LINK.sub(replaced, text)


class ReadmeHook(MetadataHookInterface):
    """Sets ``readme`` and, if the address of the site is known, ``urls`` in the package's metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the metadata."""
        site = os.environ.get("HARDENER_DOCS_URL", "")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": published(text, site)}
        metadata["urls"] = _urls(site)


def _urls(site: str) -> Mapping[str, str]:
    if not site:
        return {}
    return {"Documentation": site, "Changelog": f"{site.rstrip('/')}/{address('CHANGELOG.md')}"}
