from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.snapshot import SCHEMA, FactAbsent, FactUnavailable, Snapshot, version_tuple
from tests.unit.snapshots import absent, failed, make, no_engine, silent_engine


def document(**keys: Any) -> bytes:
    return json.dumps({"schema": SCHEMA, **keys}).encode()


def test_host_time_and_policy_are_read() -> None:
    data = document(host="db01", collected_at="2026-11-25T00:30:00Z", policy={"swarm": True})
    snapshot = Snapshot.parse(data, name="x")
    assert (snapshot.host, snapshot.collected_at) == ("db01", "2026-11-25T00:30:00Z")
    assert snapshot.policy == {"swarm": True}


def test_a_minimal_document_has_an_unknown_host_and_no_facts() -> None:
    snapshot = Snapshot.parse(document(), name="x")
    assert (snapshot.host, snapshot.collected_at, snapshot.policy, snapshot.collector) == (
        "unknown",
        "",
        {},
        {},
    )
    with pytest.raises(FactUnavailable, match="not in this snapshot"):
        snapshot.fact("system")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x is not JSON"),
        (b"{", "x is not JSON"),
        (b"\xff\xfe", "x is not JSON"),
        (b"[" * 100_000, "x is not JSON"),
        (b"[]", "x: not a snapshot: schema is 'list'"),
        (b"{}", "x: not a snapshot: schema is None"),
        (document(sources=[1]), "x: not a snapshot: its sources are not objects"),
        (document(sources={"system": 1}), "x: not a snapshot: its sources are not objects"),
        (b'{"schema": "hardener/snapshot/3"}', "x: not a snapshot: schema is 'hardener/snapshot/3'"),
    ],
)
def test_an_invalid_snapshot_is_refused_with_its_name_and_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(HardenerError, match=message):
        Snapshot.parse(data, name="x")


def test_an_invalid_schema_of_any_length_gives_a_short_error() -> None:
    with pytest.raises(HardenerError) as caught:
        Snapshot({"schema": "x" * 1_000_000})
    assert len(str(caught.value)) < 6_000


def test_an_unreadable_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match=r"cannot read snapshot .*gone\.json: No such file"):
        Snapshot.load(tmp_path / "gone.json")
    (tmp_path / "half.json").write_text('{"schema"')
    with pytest.raises(HardenerError, match=r"half\.json is not JSON"):
        Snapshot.load(tmp_path / "half.json")


def test_a_source_is_ok_absent_or_failed() -> None:
    snapshot = make(**{"docker.swarm": absent("swarm is inactive"), "audit.loaded": failed("not permitted")})
    assert snapshot.fact("docker.info")["ServerVersion"]
    assert snapshot.fact_or("docker.swarm", {"none": 1}) == {"none": 1}
    with pytest.raises(FactAbsent, match="swarm is inactive"):
        snapshot.fact("docker.swarm")
    with pytest.raises(FactUnavailable, match="not permitted") as caught:
        snapshot.fact("audit.loaded")
    assert not isinstance(caught.value, FactAbsent)
    with pytest.raises(FactUnavailable, match="not permitted"):
        snapshot.fact_or("audit.loaded", {})


def test_a_source_in_an_unknown_state_counts_as_failed() -> None:
    raw = {"schema": SCHEMA, "sources": {"system": {"state": "great", "data": {"kernel": "6"}}}}
    with pytest.raises(FactUnavailable):
        Snapshot(raw).fact("system")


def test_a_missing_file_is_none_and_an_unreadable_or_uncollected_one_an_error() -> None:
    snapshot = make(files={"/etc/a": None, "/etc/b": {"error": "Permission denied"}})
    assert snapshot.file("/etc/a") is None
    with pytest.raises(FactUnavailable, match="/etc/b: Permission denied"):
        snapshot.file("/etc/b")
    with pytest.raises(FactUnavailable, match="/etc/never was not collected"):
        snapshot.file("/etc/never")


def test_security_options_are_read_as_names() -> None:
    options = ["name=seccomp,profile=builtin", "name=cgroupns", "rootless", ""]
    assert make(**{"docker.info": {"SecurityOptions": options}}).security_options == {"seccomp", "cgroupns"}
    assert make(**{"docker.info": {"SecurityOptions": None}}).security_options == frozenset()


def test_a_host_without_an_answering_engine_is_recognised() -> None:
    assert not no_engine().engine_installed
    assert silent_engine().engine_installed
    with pytest.raises(FactAbsent):
        _ = no_engine().info
    with pytest.raises(FactUnavailable, match="connection refused"):
        _ = silent_engine().info


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("20.10.24", (20, 10, 24)),
        ("29.0.0-rc.1", (29, 0, 0)),
        ("1.41", (1, 41)),
        ("v1.2", (1, 2)),
        ("29.0rc1", (29, 0)),
        ("1" * 5000, (111_111_111,)),
        ("dev", ()),
        ("", ()),
    ],
)
def test_versions_are_parsed(text: str, numbers: tuple[int, ...]) -> None:
    assert version_tuple(text) == numbers


@given(st.text())
def test_any_version_text_is_parsed(text: str) -> None:
    assert all(number >= 0 for number in version_tuple(text))


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_a_document_without_the_schema_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(HardenerError):
        Snapshot({**raw, "schema": None})


@pytest.mark.parametrize(
    ("groups", "known"),
    [(["web", "all"], {"web", "all"}), ([], set()), (None, None), ("web", None), ({"web": 1}, None)],
)
def test_groups_are_read_if_an_inventory_was_used(groups: Any, known: set[str] | None) -> None:
    assert Snapshot({"schema": SCHEMA, "inventory_groups": groups}).groups == known
    assert make().groups is None


def test_a_source_that_was_not_collected_is_recognised() -> None:
    snapshot = make(mounts=absent(), lsm=failed(), without=["sysctl"])
    assert [snapshot.has(source) for source in ("mounts", "lsm", "sysctl")] == [True, True, False]


# --- the schema before ------------------------------------------------------------------------------------


def of_schema_1(config: Any) -> Snapshot:
    entry = config if isinstance(config, dict) and "state" in config else {"state": "ok", "data": config}
    return Snapshot({"schema": "hardener/snapshot/1", "host": "h", "sources": {"daemon.config": entry}})


def test_a_snapshot_of_schema_1_has_its_settings_by_key() -> None:
    flags = {"host": ["fd://"], "icc": ["0"], "http-proxy": ["p"]}
    parsed = {"icc": True, "log-level": "warn"}
    config = {
        "path": "/d.json",
        "exists": True,
        "parsed": parsed,
        "error": None,
        "flags": flags,
        "argv": ["x"],
    }
    given = json.dumps(config)
    snapshot = of_schema_1(config)
    assert snapshot.daemon_config == {
        "path": "/d.json",
        "exists": True,
        "error": None,
        "argv": ["x"],
        "declared": {
            "icc": {"value": False, "origin": "--icc"},
            "log-level": {"value": "warn", "origin": "file"},
            "hosts": {"value": ["fd://"], "origin": "--host"},
        },
        "conflicts": ["icc"],
    }
    assert (snapshot.raw["schema"], snapshot.host) == (SCHEMA, "h")
    assert json.dumps(config) == given, "the document itself stays as it is"


@pytest.mark.parametrize("parsed", [None, [], 3])
def test_a_snapshot_of_schema_1_keeps_the_reason_why_daemon_json_is_invalid(parsed: Any) -> None:
    assert of_schema_1({"exists": True, "parsed": parsed}).daemon_config["error"] == "is not a JSON object"
    assert of_schema_1({"exists": True, "parsed": parsed, "error": "e"}).daemon_config["error"] == "e"
    gone = of_schema_1({"exists": False, "parsed": None, "error": None}).daemon_config
    assert (gone["error"], gone["declared"]) == (None, {})


@pytest.mark.parametrize(
    "config", [[], "x", 3, {"flags": [1]}, {"flags": {"icc": "x"}}, {"flags": {"icc": [3]}}]
)
def test_malformed_flags_in_a_snapshot_of_schema_1_are_an_error(config: Any) -> None:
    with pytest.raises(FactUnavailable, match="flags are not lists"):
        _ = of_schema_1(config).daemon_config


def test_a_source_of_schema_1_without_data_is_unchanged() -> None:
    for state in ("failed", "absent"):
        entry = {"state": state, "ms": 1, "error": "why"}
        assert of_schema_1(entry).raw["sources"]["daemon.config"] == entry
    assert Snapshot({"schema": "hardener/snapshot/1"}).raw["sources"] == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(st.sampled_from(["flags", "parsed", "exists", "error", "icc", "x"]), each)
        ),
    )
)
def test_any_document_of_schema_1_is_read_or_refused(config: Any) -> None:
    try:
        found = of_schema_1(config).daemon_config
    except FactUnavailable:
        return
    assert isinstance(found["declared"], dict)
