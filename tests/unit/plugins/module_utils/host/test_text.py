from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.text import SHORT, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", "web"),
        ("größe 😀", "größe 😀"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\u202e", r"a\nb\u202e"),
        ("\ud800", r"\ud800"),
        ("x" * 500, "x" * 120),
        ("\x07" * 500, r"\x07" * 30),
    ],
)
def test_texts_are_shortened_and_escaped(text: str, expected: str) -> None:
    assert shown(text, SHORT) == expected
