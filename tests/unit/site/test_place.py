"""File names of pages: safe for every name, and different where names are."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardener.site.place import file_name, numbered, short_names
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


@pytest.mark.parametrize(
    ("inventories", "names"),
    [
        (["/srv/prod.yml", "/srv/test.yml"], ["prod", "test"]),
        (["/home/ops/prod/hosts.yml", "/home/ops/test/inventory"], ["prod", "test"]),
        (["/srv/eu/prod.yml", "/srv/us/prod.yml", "/srv/dev.ini"], ["eu/prod", "us/prod", "dev"]),
        (["/srv/prod.yml", "/srv/prod.ini", "/a/prod"], ["/srv/prod.yml", "/srv/prod.ini", "a/prod"]),
        (["web1,web2,", "/srv/web1"], ["web1,web2,", "web1"]),
        (["/hosts", "/", "prod", "/prod"], ["hosts", "/", "prod", "/prod"]),
        (["/srv/.hidden", "/srv/v1.2/hosts.yml"], [".hidden", "v1.2"]),
    ],
)
def test_inventories_are_named_by_the_end_of_their_paths(inventories: list[str], names: list[str]) -> None:
    assert list(short_names(inventories).values()) == names


@given(st.lists(st.text("/ab.,", max_size=6).map("/".__add__), unique=True, max_size=6))
def test_different_inventories_have_different_names(inventories: list[str]) -> None:
    named = short_names(inventories)
    assert len(set(named.values())) == len(inventories)
    assert all(named.values())
