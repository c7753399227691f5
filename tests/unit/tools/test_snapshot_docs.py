"""The reference of a snapshot is what its schema says."""

from __future__ import annotations

import json

import pytest

from tools import snapshot_docs
from tools.snapshot_docs import BEGIN, END, PAGE, SCHEMA


def test_generated_pages_are_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert snapshot_docs.page(text, SCHEMA.read_text(encoding="utf-8")) == text, "run: make docs"


def schema(**sources: str) -> str:
    described = {name: {"description": text} for name, text in sources.items()}
    return json.dumps(
        {"properties": {"sources": {"properties": {name: {} for name in sources}}}, "$defs": described}
    )


def test_every_source_has_a_generated_section_between_manual_text() -> None:
    page = f"# x\n\n{BEGIN}\nold\n{END}\n\n## y\n"
    found = snapshot_docs.page(page, schema(system="a `b` " * 40, engine="c"))
    assert found.startswith(f"# x\n\n{BEGIN}\n\n### `system`\n\na `b` a")
    assert found.endswith(f"### `engine`\n\nc\n\n{END}\n\n## y\n")
    assert max(map(len, found.splitlines())) <= 120
    assert snapshot_docs.page(found, schema(system="a `b` " * 40, engine="c")) == found


def test_a_source_without_a_description_is_reported() -> None:
    with pytest.raises(ValueError, match="engine has no description"):
        snapshot_docs.page(f"{BEGIN}{END}", schema(engine=""))
    with pytest.raises(ValueError, match="needs the lines"):
        snapshot_docs.page("# x", schema(engine="c"))
