"""File names of pages: safe for every name, and different where names are."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardener.site.place import file_name, numbered
from hardener.text import scalar
from tests.unit.reports.assessments import HOSTILE, hostile_text

SAFE = re.compile(r"[a-z0-9~][a-z0-9.~-]*")
NAMES = (
    hostile_text
    | st.text(max_size=200)
    | st.sampled_from(["..", ".", "", "a/b", "../../etc", "A", "a.", "a~1"])
)


@settings(max_examples=50)
@given(NAMES)
@example("a" * 4096)
@example("\ud800")
@example("/etc/passwd")
def test_a_file_name_is_safe_on_every_file_system(name: str) -> None:
    made = file_name(name)
    assert SAFE.fullmatch(made)
    assert len(numbered(made, 999).encode()) < 110
    assert ".." not in made


@settings(max_examples=50)
@given(NAMES, NAMES)
@example("web", "WEB")
@example("a b", "a-b")
@example("a" * 81, "a" * 82)
def test_different_names_have_different_files(one: str, other: str) -> None:
    different = {scalar(one), scalar(other)}  # as the history has them
    files = {numbered(file_name(name), page) for name in different for page in (1, 2)}
    assert len({file.lower() for file in files}) == 2 * len(different)


def test_a_plain_name_is_its_own_file_name() -> None:
    assert [file_name(each) for each in ("web01.example.com", "daemon-icc")] == [
        "web01.example.com",
        "daemon-icc",
    ]


def test_hostile_names_have_different_file_names() -> None:
    assert len({file_name(each) for each in HOSTILE}) == len(HOSTILE)
