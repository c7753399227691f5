from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import trust

CONTAINER = {"name": "web", "running": True, "by_digest": False}
IMAGE = {"id": "sha256:1", "status": "exempt", "detail": "why", "rule": "", "until": "2026-12-31"}
RECORD: dict[str, Any] = {
    "schema": "hardener/trust/1",
    "verified_at": "2026-11-25T04:00:00Z",
    "policy": "ab",
    "images": [{**IMAGE, "names": ["a"], "containers": [{**CONTAINER, "more": 1}]}],
}


def left(folder: Path, record: object) -> str:
    path = folder / "record.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return str(path)


def test_unknown_fields_of_the_record_are_dropped(tmp_path: Path) -> None:
    policy = tmp_path / "trust.json"
    policy.touch()
    os.utime(policy, (1795500000.9, 1795500000.9))
    assert trust.read(left(tmp_path, RECORD), str(policy)) == {
        "verified_at": "2026-11-25T04:00:00Z",
        "policy": "ab",
        "policy_written": "2026-11-24T06:00:00Z",
        "images": [{**IMAGE, "containers": [CONTAINER]}],
    }


def test_without_a_verification_the_source_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no verification"):
        trust.read(str(tmp_path / "none"))


def test_a_host_without_a_policy_has_no_policy_time(tmp_path: Path) -> None:
    assert trust.read(left(tmp_path, RECORD), str(tmp_path / "none"))["policy_written"] == ""


def test_a_record_of_an_earlier_version_is_read_without_the_last_days_of_exceptions(tmp_path: Path) -> None:
    image = {**{key: IMAGE[key] for key in IMAGE if key != "until"}, "containers": []}
    assert trust.read(left(tmp_path, {**RECORD, "images": [image]}))["images"][0]["until"] == ""


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[" * 100_000,
        [],
        {},
        {**RECORD, "schema": "hardener/trust/2"},
        {**RECORD, "images": 7},
        {**RECORD, "images": [7]},
        {**RECORD, "images": [{}]},
        {**RECORD, "images": [{**IMAGE, "containers": None}]},
        {key: value for key, value in RECORD.items() if key != "verified_at"},
    ],
)
def test_an_invalid_record_fails_the_source(tmp_path: Path, record: object) -> None:
    with pytest.raises(Failed, match=r"record\.json"):
        trust.read(left(tmp_path, record))


def test_hostile_texts_are_put_on_one_line(tmp_path: Path) -> None:
    record = {**RECORD, "images": [{**IMAGE, "detail": "a\n\x1b[2Jb" + "x" * 9999, "containers": []}]}
    detail = trust.read(left(tmp_path, record))["images"][0]["detail"]
    assert detail.isprintable()
    assert len(detail) <= 300
