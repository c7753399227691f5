from __future__ import annotations

from pathlib import Path

import pytest

from hardener.bounded import parse, read


def test_json_is_parsed() -> None:
    assert parse(b'{"a": [1, 2.5, null]}', most_values=5) == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" + b"{}," * 5 + b"1]", "more than 10 values"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "Infinity is not a number"),
        (b"[1e999]", "1e999 is not a number"),
        (b"\xff", "codec"),
        (b"[", "Expecting"),
    ],
)
def test_invalid_json_is_an_error_with_its_reason(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text, most_values=10)


@pytest.mark.parametrize("levels", [101, 102, 400, 900, 5000])
@pytest.mark.parametrize("opened", [b"[", b'{"a":', b'[{"a":', b"[1,[],"])
def test_extreme_nesting_is_an_error(opened: bytes, levels: int) -> None:
    closed = opened.translate(bytes.maketrans(b"[{", b"]}"), b'"a:1,')[::-1].replace(b"][]", b"]")
    text = opened * levels + b"1" + (b"]" if opened == b"[1,[]," else closed) * levels
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        parse(text, most_values=1_000_000)


def test_json_nested_to_the_allowed_depth_is_accepted() -> None:
    assert parse(b"[" * 100 + b"]" * 100, most_values=1000)


def test_unclosed_json_of_any_depth_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        parse(b"[" * 100_000, most_values=1_000_000)


def test_a_file_above_the_limit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read(path, most=10) == b"x" * 10
    with pytest.raises(ValueError, match="more than 9 bytes"):
        read(path, most=9)
    with pytest.raises(ValueError, match="more than"):
        read(Path("/dev/zero"), most=1000)
