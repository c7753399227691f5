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


def test_defaults_are_generated_in_the_order_of_the_specification(tmp_path: Path) -> None:
    values = {
        "x_b": {"a": {"soft": 1}},
        "x_a": "02:00-05:00",
        "x_c": None,
        "x_d": "yes",
        "x_e": ["a: b", "é", "1"],
        "x_f": "{{ one }}",
        "x_g": False,
        "x_h": "",
    }
    text = role_docs.defaults(
        role(tmp_path, **{k: {"default": v} for k, v in values.items()}, x_site={"type": "dict"})
    )
    found = yaml.safe_load(text)
    assert list(found.items()) == list(values.items())
    assert text.startswith("# Generated from meta/argument_specs.yml")


@pytest.mark.parametrize(
    ("option", "row"),
    [
        ({"default": False, "description": "Whether C(x)."}, "`false` | Whether `x`."),
        ({"default": "", "description": ["One.", "Two."]}, "empty | One. Two."),
        ({"default": None, "description": "A|B."}, r"not set | A\|B."),
        ({"description": "Of the site."}, "not set | Of the site."),
        ({"default": "a", "description": "It.", "choices": ["a", "b"]}, "`a` | It. One of `a`, `b`."),
        (
            {"default": list(range(40)), "description": "Many."},
            "see [defaults/main.yml](defaults/main.yml) | Many.",
        ),
        (
            {
                "default": [],
                "description": "Rules.",
                "options": {"port": {"required": True}, "protocol": {"default": "tcp"}, "comment": {}},
            },
            "`[]` | Rules. Keys: `port` (needed), `protocol` (`tcp` by default), `comment`.",
        ),
    ],
)
def test_a_variable_is_a_row_of_the_table(tmp_path: Path, option: dict[str, Any], row: str) -> None:
    folder = role(tmp_path, x=option)
    before = f"# x\n\n{role_docs.MARK}\n"
    (folder / "README.md").write_text(f"{before}| old |\n| - |\n\nAfter\n")
    text = role_docs.readme(folder)
    assert (
        text
        == f"{before}| variable | default | what it does |\n| --- | --- | --- |\n| `x` | {row} |\n\nAfter\n"
    )
    (folder / "README.md").write_text(text)
    assert role_docs.readme(folder) == text


@pytest.mark.parametrize("text", ["# x\n", f"{role_docs.MARK}\n{role_docs.MARK}\n"])
def test_a_readme_without_a_marker_for_the_table_is_an_error(tmp_path: Path, text: str) -> None:
    folder = role(tmp_path, x={"default": 1, "description": "It."})
    (folder / "README.md").write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: the line"):
        role_docs.readme(folder)
