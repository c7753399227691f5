from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.jsonkeys import (
    Record,
    Wish,
    merge,
    parse,
    render,
    same,
)
from hypothesis import given
from hypothesis import strategies as st


def converge(current: dict[str, Any], *wishes: Wish) -> tuple[dict[str, Any], list[Record]]:
    records: list[Record] = []
    for wish in wishes:
        current, records = merge(current, records, wish)
        stored = json.loads(json.dumps([record.dump() for record in records]))
        records = [Record.load(raw) for raw in stored]
    return current, records


def test_a_key_is_set_and_the_others_stay() -> None:
    result, records = converge({"debug": True}, Wish({"icc": False}))
    assert result == {"debug": True, "icc": False}
    assert [record.path for record in records] == [("icc",)]


def test_an_unwanted_key_is_removed_and_a_foreign_one_stays() -> None:
    result, records = converge({"debug": True}, Wish({"icc": False}), Wish({}))
    assert result == {"debug": True}
    assert records == []


def test_a_foreign_value_is_replaced_and_restored_later() -> None:
    before = {"log-driver": "syslog", "log-opts": {"syslog-address": "udp://log:514"}}
    wish = Wish({"log-driver": "json-file", "log-opts": {"max-size": "10m"}}, whole=["log-opts"])
    taken, _ = converge(before, wish)
    assert taken == {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}
    given_back, _ = converge(before, wish, Wish({}))
    assert given_back == before


def test_a_value_that_is_already_set_is_not_recorded_as_managed() -> None:
    result, records = converge({"icc": False}, Wish({"icc": False}), Wish({}))
    assert result == {"icc": False}
    assert records == []


def test_a_value_that_others_changed_stays_when_it_is_unwanted() -> None:
    current, records = merge({}, [], Wish({"log-level": "info"}))
    current["log-level"] = "warn"
    result, _ = merge(current, records, Wish({}))
    assert result == {"log-level": "warn"}


def test_a_drifted_key_is_set_again_and_its_original_value_stays_recorded() -> None:
    current, records = merge({"icc": True}, [], Wish({"icc": False}))
    current["icc"] = "drifted"
    repaired, records = merge(current, records, Wish({"icc": False}))
    assert repaired == {"icc": False}
    assert merge(repaired, records, Wish({}))[0] == {"icc": True}


def test_objects_are_merged_and_only_our_parts_are_removed() -> None:
    before = {"default-ulimits": {"core": {"Name": "core", "Soft": 0, "Hard": 0}}}
    wish = Wish({"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}})
    result, _ = converge(before, wish)
    assert sorted(result["default-ulimits"]) == ["core", "nofile"]
    assert converge(before, wish, Wish({}))[0] == before


def test_defaults_do_not_replace_existing_values() -> None:
    wish = Wish({}, defaults={"log-opts": {"max-size": "10m", "max-file": "3"}})
    result, records = converge({"log-opts": {"max-size": "50m"}}, wish)
    assert result == {"log-opts": {"max-size": "50m", "max-file": "3"}}
    assert [record.path for record in records] == [("log-opts", "max-file")]


def test_a_default_value_that_was_changed_by_others_is_no_longer_managed() -> None:
    wish = Wish({}, defaults={"userns-remap": "default"})
    current, records = merge({}, [], wish)
    current["userns-remap"] = "somebody"
    result, records = merge(current, records, wish)
    assert result == {"userns-remap": "somebody"}
    assert records == []


def test_a_default_gets_its_new_value_if_nothing_else_has_changed_it() -> None:
    result, _ = converge({}, Wish({}, defaults={"a": 1}), Wish({}, defaults={"a": 2}))
    assert result == {"a": 2}


def test_a_key_can_change_between_merged_and_replaced() -> None:
    parts = Wish({"log-opts": {"max-size": "10m"}})
    whole = Wish({"log-opts": {"max-file": "3"}}, whole=["log-opts"])
    before = {"log-opts": {"tag": "x"}}
    assert converge(before, parts, whole)[0] == {"log-opts": {"max-file": "3"}}
    assert converge(before, parts, whole, parts)[0] == {"log-opts": {"tag": "x", "max-size": "10m"}}
    assert converge(before, parts, whole, parts, Wish({}))[0] == before


def test_merging_into_a_value_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(Refused, match="log-opts"):
        merge({"log-opts": "max-size=1"}, [], Wish({"log-opts": {"max-size": "10m"}}))


def test_true_and_1_are_different_values() -> None:
    assert not same(True, 1)
    assert converge({"icc": 0}, Wish({"icc": False}))[0]["icc"] is False


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=3)


@given(current=objects, keys=objects, defaults=objects)
def test_a_second_merge_changes_nothing_and_removal_restores_the_former_keys(
    current: dict[str, Any], keys: dict[str, Any], defaults: dict[str, Any]
) -> None:
    wish = Wish(keys, defaults)
    try:
        once, records = merge(current, [], wish)
    except Refused:
        return
    again, kept = merge(once, records, wish)
    assert same(once, again)
    assert kept == records
    back, left = merge(once, records, Wish({}))
    assert left == []
    assert without_empty(back) == without_empty(current)


def without_empty(value: Any) -> Any:
    """Objects that only hold empty objects do not come back: they say nothing."""
    if not isinstance(value, dict):
        return value
    inner = {key: without_empty(part) for key, part in value.items()}
    return {key: part for key, part in inner.items() if part != {}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"icc": true, "icc": false}', '"icc" appears twice'),
        (b'{"log-opts": {"a": "1", "a": "2"}}', '"a" appears twice'),
        (b'{"icc": true', "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"mtu": NaN}', "NaN is not a JSON value"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1} trailing', "is not JSON"),
    ],
)
def test_ambiguous_json_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse(content, "/etc/docker/daemon.json")


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b"\xef\xbb\xbf{}"])
def test_an_empty_file_is_an_empty_object(content: bytes) -> None:
    assert parse(content, "x") == {}


def test_a_hostile_key_is_named_without_its_control_characters() -> None:
    key = "\\u001b[31m" + "x" * 500
    with pytest.raises(Refused) as refused:
        parse(f'{{"{key}": 1, "{key}": 2}}'.encode(), "x")
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("previous", "start"), [(b'{\n    "a": 1\n}', b'{\n    "'), (b'{\n\t"a": 1}', b'{\n\t"')]
)
def test_the_indentation_of_the_file_is_kept(previous: bytes, start: bytes) -> None:
    assert render({"a": 2}, previous).startswith(start)


def test_a_lone_surrogate_is_preserved() -> None:
    content = b'{"a": "\\ud800"}'
    assert parse(render(parse(content, "x"), content), "x") == {"a": "\ud800"}
