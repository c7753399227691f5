"""Write all generated pages and files: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tools import command_pages, control_pages, man_page, role_docs, snapshot_docs, support_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
# Folders with nothing but generated pages.
_WHOLE = {"controls": control_pages.pages, "reference/commands": command_pages.pages}


def generated() -> dict[Path, str]:
    """Return the text of every generated file."""
    found = role_docs.written()
    found[snapshot_docs.PAGE] = snapshot_docs.page(
        snapshot_docs.PAGE.read_text(encoding="utf-8"), snapshot_docs.SCHEMA.read_text(encoding="utf-8")
    )
    found[man_page.PAGE] = man_page.page()
    found[support_page.PAGE] = support_page.page(support_page.PAGE.read_text(encoding="utf-8"))
    for folder, pages in _WHOLE.items():
        found |= {DOCS / folder / name: text for name, text in pages().items()}
    return found


def stale() -> Iterator[Path]:
    """Yield the files that are not up to date, and obsolete pages."""
    wanted = generated()
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path
    for folder in _WHOLE:
        yield from sorted(set((DOCS / folder).glob("*.md")) - set(wanted))


def write() -> None:
    """Write every file that is not up to date, remove obsolete pages, and print their names."""
    wanted = generated()
    for path in list(stale()):
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    write()
