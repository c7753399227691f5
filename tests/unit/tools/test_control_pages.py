"""Pages of controls are what the catalogue says."""

from __future__ import annotations

from tools import control_pages
from tools.docs import DOCS


def test_the_committed_pages_are_up_to_date() -> None:
    committed = {path.name: path.read_text() for path in (DOCS / "controls").glob("*")}
    wanted = control_pages.pages()
    assert sorted(committed) == sorted(wanted)
    stale = [name for name, text in wanted.items() if committed[name] != text]
    assert stale == [], "run: make docs"
