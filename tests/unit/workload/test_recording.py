"""Recordings are read as they were written, and anything else is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hardener.errors import HardenerError
from hardener.workload import recording as module
from hardener.workload.recording import build, load, parse, schema
from tests.unit.workload.recordings import document
from tests.unit.workload.schemas import common

SCHEMA = Path(module.__file__).with_name("recording.schema.json")


def test_a_written_recording_is_read_unchanged(tmp_path: Path) -> None:
    written = build(document(), name="web")
    path = tmp_path / "recording.json"
    path.write_text(written.dump())
    found = load(path)
    assert found == written
    assert found.dump() == path.read_text()
    assert found.digest == json.loads(path.read_text())["digest"]
    assert found.exercised == ("start-empty",)


def test_the_order_of_sets_has_no_effect() -> None:
    data = document()
    data["container"]["environment"] = ["Z", "A", "Z"]
    data["identities"] = [{**data["identities"][0], "program": name} for name in ("b", "a")]
    data["calls"]["x86_64"]["openat"]["phases"] = ["stop", "start-empty"]
    other = document()
    other["container"]["environment"] = ["A", "Z"]
    other["identities"] = [{**other["identities"][0], "program": name} for name in ("a", "b")]
    other["calls"]["x86_64"]["openat"]["phases"] = ["start-empty", "stop"]
    assert build(data, name="web").dump() == build(other, name="web").dump()


def test_the_schema_matches_the_classes() -> None:
    assert common(json.loads(SCHEMA.read_text())) == common(schema())


def test_the_schema_refuses_a_recording_without_digest_or_with_an_unknown_field() -> None:
    validator = jsonschema_rs.validator_for(schema())
    data = json.loads(build(document(), name="web").dump())
    validator.validate(data)
    del data["digest"]
    assert not validator.is_valid(data)
    assert not validator.is_valid({**data, "digest": "sha256:" + "0" * 64, "more": 1})


def _truncated(text: str) -> str:
    return text[: len(text) // 2]


def _changed(text: str) -> str:
    return text.replace("CAP_CHOWN", "CAP_FOWNER")


def _without_digest(text: str) -> str:
    data = json.loads(text)
    del data["digest"]
    return json.dumps(data)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: "", "is empty: the recording did not end"),
        (lambda text: "\n\0"[:1], "is empty: the recording did not end"),
        (_truncated, "is not a complete recording"),
        (_changed, "was changed after it was written"),
        (_without_digest, "was changed after it was written"),
        (lambda text: "[]", "is not a recording: it has no key `format`"),
        (lambda text: '{"format": 7}', "format is '7', expected 'hardener.recording/2'"),
        (lambda text: '{"format": "hardener.recording/1"}', "expected 'hardener.recording/2'"),
        (lambda text: "[" * 200 + "]" * 200, "nested more than 100 levels deep"),
        (lambda text: "[" + "0," * 600_000 + "0]", "the JSON has more than 500000 values"),
    ],
)
def test_a_damaged_file_is_refused(spoil: Callable[[str], str], message: str) -> None:
    text = spoil(build(document(), name="web").dump())
    with pytest.raises(HardenerError, match=r"^recording\.json") as error:
        parse(text.encode(), name="recording.json")
    assert message in str(error.value)
    assert "record the container again" in error.value.hint


def test_a_file_that_is_too_large_or_missing_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(module.MAX_BYTES + 1)
    with pytest.raises(HardenerError, match="the file has more than 8388608 bytes"):
        load(large)
    with pytest.raises(HardenerError, match="No such file or directory"):
        load(tmp_path / "missing.json")


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        found: Any = data
        for key in parents:
            found = found[int(key)] if isinstance(found, list) else found[key]
        found[int(last) if isinstance(found, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("container.name", "we\x1b[2Jb"), "container.name: has characters that cannot be shown"),
        (_set("container.name", ""), "container.name: String should have at least 1 character"),
        (
            _set("container.environment", ["X"] * 1001),
            "container.environment: Tuple should have at most 1000",
        ),
        (_set("container.digest", "latest"), "container.digest: String should match pattern"),
        (_set("calls.x86_64", {"rm -rf": {"phases": [], "programs": []}}), "calls.x86_64"),
        (_set("capabilities.0.name", "chown"), "capabilities.0.name: String should match pattern"),
        (_set("phases.0.name", "lunch"), "phases.0.name: Input should be 'start-empty'"),
        (_set("phases.1.name", "start-empty"), "a phase is listed twice"),
        (_set("phases.0.seconds", float("inf")), "phases.0.seconds"),
        (_set("ended", "2026-11-27T08:00:00Z"), "the recording ended before it began"),
        (_set("began", "2026-13-27T08:00:00Z"), "began: month must be in 1..12"),
        (_set("peak.pids", "3"), "peak.pids: Input should be a valid integer"),
        (_set("peak.pids", True), "peak.pids: Input should be a valid integer"),
        (_set("more", 1), "more: Extra inputs are not permitted"),
        (_set("granted.seccomp.syscalls.0.action", "ALLOW"), "granted.seccomp.syscalls.0.action"),
    ],
)
def test_an_invalid_answer_is_refused(change: Callable[[dict[str, Any]], None], message: str) -> None:
    data = document()
    change(data)
    with pytest.raises(HardenerError, match=r"^host1: ") as error:
        build(data, name="host1")
    assert message in str(error.value)
    assert "\x1b" not in str(error.value)
