from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.text import block, first, line, scalar, shorten

anything = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-1", "web-1"),
        ("Größe 漢字 é ✔", "Größe 漢字 é ✔"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("half \ud800", r"half \ud800"),
        ("\ufffe\U0001ffff", r"\ufffe\U0001ffff"),
        ("[bold]", "[bold]"),
        ("two\r\n  lines\tand\rmore ", "two lines and more"),
        ("\u2028", r"\u2028"),
    ],
)
def test_a_text_is_put_on_one_line(text: str, shown: str) -> None:
    assert line(text) == shown


def test_a_block_keeps_line_ends_only() -> None:
    assert block("a\r\nb\tc\nd\re\x1b") == "a\nb   c\nd\\re\\x1b"


def test_a_shortened_text_has_the_number_of_missing_characters() -> None:
    assert shorten("12345", 5) == "12345"
    assert shorten("x" * 5 + "y" * 20, 5) == "xxxxx… (+20 characters)"


@given(anything, st.integers(0, 40))
def test_a_shortened_text_is_never_longer_than_the_text(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= len(text)
    assert short == text or (len(short) < len(text) and len(text) > limit)


def test_a_huge_text_is_shortened() -> None:
    assert len(line("x" * 1_000_000)) < 340
    assert len(line("\x1b" * 1_000_000)) < 4 * 300 + 40
    assert len(block("\n" * 1_000_000)) < 20_100
    assert len(scalar("x" * 1_000_000)) < 10_040


def test_a_scalar_escapes_only_surrogates() -> None:
    assert scalar("\x1b[31m\u202e\x00\ufffe\n") == "\x1b[31m\u202e\x00\ufffe\n"
    assert scalar("a\ud800b\udfff") == "a\ufffdb\ufffd"


@given(anything)
def test_any_text_becomes_one_visible_line(text: str) -> None:
    shown = line(text)
    assert shown.isprintable()
    assert line(shown) == shown or len(shown) > 300


@given(anything)
def test_any_text_becomes_a_visible_block(text: str) -> None:
    assert block(text).replace("\n", "").isprintable()


@given(anything)
def test_lines_and_blocks_are_valid_in_xml(text: str) -> None:
    element = ElementTree.Element("x", {"a": line(text)})
    element.text = block(text)
    again = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    assert (again.get("a"), again.text or "") == (line(text), block(text))


@given(anything)
def test_strict_json_readers_accept_a_scalar(text: str) -> None:
    scalar(text).encode("utf-8")
    assert json.loads(json.dumps(scalar(text))) == scalar(text)


def test_the_number_of_omitted_items_is_appended() -> None:
    assert list(first(["a", "b", "c"], 3)) == ["a", "b", "c"]
    assert list(first(["a", "b", "c"], 1)) == ["a", "+2 more"]
