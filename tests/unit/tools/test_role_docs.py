"""Defaults and tables of variables are what the argument specifications say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import role_docs


def test_generated_files_are_up_to_date() -> None:
    stale = [
        str(path)
        for path, text in role_docs.written().items()
        if not path.is_file() or path.read_text() != text
    ]
    assert stale == [], "run: make docs"
    assert not {path.parents[1] for path in role_docs.ROLES.glob("*/defaults/*")} - {
        path.parents[1] for path in role_docs.written()
    }


def role(folder: Path, **options: dict[str, Any]) -> Path:
    (folder / "meta").mkdir()
    text = yaml.safe_dump({"argument_specs": {"main": {"options": options}}}, sort_keys=False)
    (folder / "meta" / "argument_specs.yml").write_text(text)
    return folder


@pytest.mark.parametrize("text", ["# x\n", f"{role_docs.MARK}\n{role_docs.MARK}\n"])
def test_a_readme_without_a_marker_for_the_table_is_an_error(tmp_path: Path, text: str) -> None:
    folder = role(tmp_path, x={"default": 1, "description": "It."})
    (folder / "README.md").write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: the line"):
        role_docs.readme(folder)
