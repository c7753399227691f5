"""Add files from outside of ``docs/`` to the documentation site: a hook of mkdocs.

The README is the home page, and roles have their READMEs as pages. Links between files of the repository,
which work in a clone, are rewritten to the pages and files of the site. A link to nothing is a warning,
and the build is strict.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.fences import pieces
from tools.readme import LINK, site_path

ROOT = Path(__file__).resolve().parents[1]

# Where the site has a page from, as paths of the repository, by its path below the site's sources.
_origins: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add generated pages to the navigation."""
    roles = sorted(f"reference/roles/{path.parent.name}.md" for path in ROOT.glob("roles/*/README.md"))
    commands = _below(config, "reference/commands")
    assert config.nav is not None
    reference = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference += [
        {"Commands": commands},
        {"Roles": ["reference/roles/index.md", *roles]},
        {"Controls": ["controls/README.md"]},
    ]
    config.nav.append({"Development": [*_developing(config), {"Decisions": _below(config, "decisions")}]})
    config.nav.append({"Releases": ["changelog.md", "security.md"]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages, and files to which pages link."""
    _origins.clear()
    for file in files:
        _origins[file.src_uri] = f"docs/{file.src_uri}"
    outside = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
    outside += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("roles/*/README.md"))
    for path in outside:
        _add(files, config, path)
    for page in [file for file in files if file.is_documentation_page()]:
        for path in _linked(page):
            if site_path(path) not in _origins and (ROOT / path).is_file():
                _add(files, config, path)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace links between files of the repository by links between pages of the site."""
    uri = page.file.src_uri
    origin = _origins[uri]

    def rewritten(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link["path"]))
        target = posixpath.relpath(site_path(path), posixpath.dirname(uri) or ".")
        return f"{link['picture']}[{link['text']}]({target}{link['anchor'] or ''})"

    return "".join(
        LINK.sub(rewritten, piece.text) if piece.language is None else piece.text
        for piece in pieces(markdown)
    )


def _add(files: Files, config: MkDocsConfig, path: str) -> None:
    uri = site_path(path)
    files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    _origins[uri] = path


def _linked(page: File) -> Iterable[str]:
    folder = posixpath.dirname(_origins[page.src_uri])
    for link in LINK.finditer(page.content_string):
        yield posixpath.normpath(posixpath.join(folder, link["path"]))


def _below(config: MkDocsConfig, folder: str) -> list[str]:
    """Return the pages of a folder, its index first."""
    names = sorted(path.name for path in Path(config.docs_dir, folder).glob("*.md"))
    names.sort(key=lambda name: name not in ("README.md", "index.md"))
    return [f"{folder}/{name}" for name in names]


def _developing(config: MkDocsConfig) -> list[str]:
    guides = [page for page in _below(config, "contributing") if not page.endswith("/index.md")]
    return ["contributing/index.md", "architecture.md", *guides, "testing.md", "performance.md"]
