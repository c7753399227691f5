from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hardener.checks.lib import fields
from hardener.snapshot import FactUnavailable

Reader = Callable[[dict[str, Any], str, str], Any]
READERS: list[tuple[Reader, Any, Any, list[Any]]] = [
    (fields.table, {"a": 1}, {}, [[], "x", 1, True]),
    (fields.rows, [{"a": 1}], (), [{}, "x", [1], ["x"], [None], 1]),
    (fields.texts, ["a"], (), [{}, "x", [1], [None], [{}]]),
    (fields.number, 7, 0, ["7", 7.5, [], {}]),
    (fields.text, "a", "", [1, [], {}, True]),
]


@pytest.mark.parametrize(("read", "good", "empty", "bad"), READERS)
def test_null_is_empty_and_a_wrong_type_is_an_error(
    read: Reader, good: Any, empty: Any, bad: list[Any]
) -> None:
    assert read({"key": good}, "key", "docker.info") == good
    assert read({"key": None}, "key", "docker.info") == empty
    assert read({}, "key", "docker.info") == empty
    for value in bad:
        with pytest.raises(FactUnavailable, match=r"docker\.info: key is not"):
            read({"key": value}, "key", "docker.info")


@pytest.mark.parametrize("value", [None, [], "x"])
def test_required_fields_must_be_present(value: Any) -> None:
    assert fields.required({"key": {}}, "key", "docker.info") == {}
    with pytest.raises(FactUnavailable, match="key is not an object"):
        fields.required({"key": value}, "key", "docker.info")
