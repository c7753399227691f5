from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.document import DocumentError, Problem, parse, read
from hardener.errors import HardenerError

HERE = Path("waivers.yml")


def refused(data: bytes | str) -> Problem:
    with pytest.raises(DocumentError) as caught:
        parse(data.encode() if isinstance(data, str) else data, HERE)
    return caught.value.problems[0]


def test_yaml_scalars_are_read_as_their_text() -> None:
    text = (
        "a: 5.10\nb: no\nc: 2026-11-25\nd: 0x1F\ne: 99999999999999999999999999\nf: '~'\ng: .inf\nh: 1_000\n"
    )
    assert parse(text.encode(), HERE).content == {
        "a": "5.10",
        "b": "no",
        "c": "2026-11-25",
        "d": "0x1F",
        "e": "99999999999999999999999999",
        "f": "~",
        "g": ".inf",
        "h": "1_000",
    }


@pytest.mark.parametrize("empty", ["a:", "a: ~", "a: null", "a: # nothing"])
def test_null_values_are_none(empty: str) -> None:
    assert parse(empty.encode(), HERE).content == {"a": None}


@pytest.mark.parametrize("empty", [b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbf", b"\n\n"])
def test_an_empty_file_is_accepted(empty: bytes) -> None:
    assert parse(empty, HERE).content is None


def test_the_line_of_a_value_can_be_looked_up() -> None:
    document = parse(b"# a comment\na:\n  - x\n  -\n    b: 1\n    c: >\n      long\n      text\n", HERE)
    assert document.line_of(("a",)) == 2
    assert document.line_of(("a", 0)) == 3
    assert document.line_of(("a", 1, "b")) == 5
    assert document.line_of(("a", 1, "c")) == 6
    assert document.line_of(("a", 1, "missing")) == 5
    assert document.line_of(("nowhere",)) == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2", 2, "appears twice, first in line 1"),
        ("a:\n  b: 1\n  c: 2\n  b: 3", 4, "appears twice, first in line 2"),
        ("a: &x 1\nb: *x", 1, "anchors and aliases"),
        ("a: 1\nb: *x", 2, "anchors and aliases"),
        ("a: [&x [1]]", 1, "anchors and aliases"),
        ("a:\n  <<: *base", 2, "anchors and aliases"),
        ("a: !!python/object/apply:os.system [id]", 1, "is not supported"),
        ("a: !vault x", 1, "is not supported"),
        ("a:\n\tb: 1", 2, "cannot start any token"),
        ("a: 'x", 1, "unexpected end of stream"),
        ("a: [1", 2, "flow sequence"),
        ("a: 1\n---\nb: 1", 2, "second YAML document"),
        ("? [a]\n: 1", 1, "a key must be a string"),
        ("hosts: [*]", 1, "is quoted"),
        ('a: "\\e[31m"', 1, r"forbids: \x1b"),
        ("a: \x00", 1, r"forbids: \x00"),
        ("a: 1\nb: \x1b[31m", 2, r"forbids: \x1b"),
        ("a: 1\nb: \x7f", 2, r"forbids: \x7f"),
    ],
)
def test_an_error_names_its_line(text: str, line: int, message: str) -> None:
    problem = refused(text)
    assert problem.line == line
    assert message in problem.message


def test_invalid_utf_8_is_an_error_with_its_line() -> None:
    assert refused(b"a: 1\nb: \xff\n") == Problem(2, "", "is not UTF-8")
    assert refused("a: 1".encode("utf-16")) == Problem(1, "", "is not UTF-8")


@pytest.mark.parametrize(
    "bomb", ["[" * 400_000, "{a: " * 200_000, "- " * 400_000, "[[[[[[[[[[[[1]]]]]]]]]]]]"]
)
def test_a_document_that_is_nested_too_deeply_is_refused(bomb: str) -> None:
    assert "deep" in refused(bomb).message or "depth" in refused(bomb).message


def test_aliases_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "anchors and aliases" in refused("\n".join(lines)).message


def test_a_document_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yml"
    path.write_text("#" * (1024 * 1024 + 1))
    with pytest.raises(HardenerError, match="is larger than 1024 KiB"):
        read(path)
    with pytest.raises(HardenerError, match="is larger than 1024 KiB"):
        read(Path("/dev/zero"))


def test_an_unreadable_file_is_an_error_with_its_path_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path, why in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "loop", "Too many levels"),
    ):
        with pytest.raises(HardenerError, match=f"cannot read {path}: {why}"):
            read(path)


def test_symbolic_links_and_devices_are_read(tmp_path: Path) -> None:
    (tmp_path / "real.yml").write_text("a: 1\n")
    (tmp_path / "link.yml").symlink_to("real.yml")
    assert read(tmp_path / "link.yml").content == {"a": "1"}
    assert read(Path(os.devnull)).content is None


def test_an_error_shows_the_first_problem_and_keeps_all() -> None:
    document = parse(b"a:\n  - b: 1\n    c: 2\n", HERE)
    error = document.error([(("a", 0, "c"), "is wrong"), (("a", 0, "b"), "is bad")])
    assert [each.at(HERE) for each in error.problems] == [
        "waivers.yml:2: b: is bad",
        "waivers.yml:3: c: is wrong",
    ]
    assert str(error).startswith("waivers.yml:2: b: is bad (and 1 more")


@given(st.binary(max_size=200) | st.text("a:- []{}#&*!|>'\"%@`\n\t\x00é", max_size=80).map(str.encode))
def test_arbitrary_content_is_read_or_refused_in_one_line(data: bytes) -> None:
    said = ""
    try:
        parse(data, HERE)
    except DocumentError as error:
        said = str(error)
    assert said.isprintable()
