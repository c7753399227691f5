from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.reports.lib.file_names import file_name


@pytest.mark.parametrize("name", ["web", "eu-1", "web_1", "A", "10.0.0.7", "db01.example.com"])
def test_a_simple_name_is_its_own_file_name(name: str) -> None:
    assert file_name(name) == name


@given(st.text("ab._-/ \u00e4", max_size=5), st.text("ab._-/ \u00e4", max_size=5))
def test_different_names_give_different_files(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) is (one == other)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc/passwd", "a\0b", "x" * 5000, "\ud800", "-rf", "a..b", ".a"]
)
def test_any_name_gives_a_file_name_of_limited_length(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}", file_name(name))
