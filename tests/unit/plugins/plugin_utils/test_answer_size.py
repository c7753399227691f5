"""The size of an answer: what is too large or nested too deeply is refused before it costs much."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils import answer_size


@pytest.mark.parametrize("piece", [b"{},", b"[],", b"1,", b'{"":', b'"a",'])
def test_json_is_measured_before_it_is_parsed(piece: bytes) -> None:
    with pytest.raises(AnsibleActionFail, match="values"):
        answer_size.see_it_parses(b"[" + piece * 2_000_001)
    answer_size.see_it_parses(b"[" + piece * 900_000)


@pytest.mark.parametrize("result", [[{}] * 1_000_001, {"a": "x" * (33 << 20)}, {"x" * (33 << 20): 1}])
def test_a_result_that_is_too_large_is_refused(result: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="too large"):
        answer_size.see_it_fits({"changed": False, "data": result})


@pytest.mark.parametrize("levels", [101, 150, 400, 900])
@pytest.mark.parametrize("opened", ["[", '{"a":', '{"ansible_facts":{},"results":'])
def test_a_result_that_is_nested_too_deeply_is_refused(opened: str, levels: int) -> None:
    value = json.loads(opened * levels + "[]" + ("]" if opened == "[" else "}") * levels)
    with pytest.raises(AnsibleActionFail, match="nested more than"):
        answer_size.see_it_fits(value)
    answer_size.see_it_fits(json.loads("[" * 100 + "]" * 100))
