from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.limited_json import TooLargeError, parse


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
    with pytest.raises(TooLargeError, match="nested more than 100 levels deep"):
        parse(text, most_values=1_000_000)


def test_json_nested_to_the_allowed_depth_is_accepted() -> None:
    assert parse(b"[" * 100 + b"]" * 100, most_values=1000)


def test_unclosed_json_of_any_depth_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        parse(b"[" * 100_000, most_values=1_000_000)
