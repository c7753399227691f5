from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import own_records

from hardener import snapshot
from tests.unit.scans import record

FIRST, SECOND = "20261125T040000Z-1b2c3d4e", "20261125T050000Z-00ffee00"


CHANGES = [
    {"path": "/x", "documents": ["b", 3]},
    {"documents": ["a", "b"]},
    {"documents": 7},
    {"path": "/y"},
    5,
]


def leave(folder: Path, run: str, record: object, *, armed: bool = False) -> None:
    backup = folder / "backups" / run
    backup.mkdir(parents=True)
    (backup / "result.json").write_text(record if isinstance(record, str) else json.dumps(record))
    if armed:
        (backup / "guard.pyz").write_text("")


def test_each_field_of_a_run_is_in_the_schema(tmp_path: Path) -> None:
    leave(tmp_path, FIRST, {"outcome": "changed", "started": 1.5, "ended": 3, "confirmed": 4, "number": 7})
    (run,) = own_records.read_runs(str(tmp_path))["runs"]
    schema = json.loads(Path(snapshot.__file__).with_name("snapshot.schema.json").read_text())
    known = schema["$defs"]["hardener.runs"]["properties"]["runs"]["items"]["properties"]
    assert run.keys() == known.keys()


def test_an_unchanged_host_has_no_runs(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="has not changed this host"):
        own_records.read_runs(str(tmp_path))


def test_runs_are_listed_newest_first_with_their_result(tmp_path: Path) -> None:
    leave(tmp_path, FIRST, {"outcome": "changed", "who": "me@here", "started": 1.5, "changes": CHANGES})
    leave(
        tmp_path,
        SECOND,
        {
            "outcome": "rollback_failed",
            "reason": "a\nb",
            "ended": 3,
            "kept": ["/a"],
            "problems": ["/b:\nc", 7],
            "missing": ["no longer running: 1 containers (web)"],
        },
        armed=True,
    )
    (tmp_path / "backups" / "somebody's own").mkdir()
    (tmp_path / "journal.json").write_text(
        json.dumps({"run": SECOND, "phase": "unconfirmed", "who": "me@here", "memory": {"secret": "x"}})
    )
    assert own_records.read_runs(str(tmp_path)) == {
        "runs": [
            {
                "run": SECOND,
                "outcome": "rollback_failed",
                "reason": "a b",
                "who": "",
                "documents": [],
                "released": [],
                "kept": ["/a"],
                "problems": ["/b: c", ""],
                "missing": ["no longer running: 1 containers (web)"],
                "ended": 3,
                "armed": True,
            },
            {
                "run": FIRST,
                "outcome": "changed",
                "reason": "",
                "who": "me@here",
                "documents": ["a", "b"],
                "released": [],
                "kept": [],
                "problems": [],
                "missing": [],
                "started": 1.5,
                "armed": False,
            },
        ],
        "in_force": ["a", "b"],
        "wishes": {},
        "unfinished": {"run": SECOND, "phase": "unconfirmed", "who": "me@here"},
    }


@pytest.mark.parametrize("record", ["", "[]", '{"outcome": 3, "started": "yesterday"}'])
def test_a_run_with_a_malformed_record_has_an_unknown_outcome(tmp_path: Path, record: str) -> None:
    leave(tmp_path, FIRST, record)
    known = {"run": FIRST, "outcome": "unknown", "reason": "", "who": "", "armed": False}
    assert own_records.read_runs(str(tmp_path)) == {
        "runs": [{**known, "documents": [], "released": [], "kept": [], "problems": [], "missing": []}],
        "in_force": [],
        "wishes": {},
        "unfinished": None,
    }


def test_documents_are_in_force_until_they_are_rolled_back_or_released(tmp_path: Path) -> None:
    third, fourth = (f"{year}{FIRST[4:]}" for year in (2098, 2099))
    leave(
        tmp_path,
        third,
        {"outcome": "changed", "changes": [{"documents": ["release"]}], "released": ["d", "e"]},
    )
    leave(tmp_path, fourth, {"outcome": "changed", "changes": [{"documents": ["e"]}]})
    leave(tmp_path, FIRST, {"outcome": "changed", "changes": [{"documents": ["a", "d", "e"]}]})
    leave(tmp_path, SECOND, {"outcome": "rolled_back", "changes": [{"documents": ["b"]}]})
    (tmp_path / "origins").mkdir()
    leave(tmp_path / "origins", f"2024{FIRST[4:]}", {"outcome": "changed", "changes": [{"documents": ["c"]}]})
    (tmp_path / "origins" / "backups" / f"2024{FIRST[4:]}").rename(tmp_path / "origins" / f"2024{FIRST[4:]}")
    assert own_records.read_runs(str(tmp_path))["in_force"] == ["a", "c", "e", "release"]


def test_at_most_ten_runs_are_listed(tmp_path: Path) -> None:
    for minute in range(12):
        leave(tmp_path, f"20261125T04{minute:02}00Z-1b2c3d4e", {})
    found = own_records.read_runs(str(tmp_path))["runs"]
    assert [run["run"][9:13] for run in found] == [f"04{minute:02}" for minute in range(11, 1, -1)]


def scan_record(folder: Path, document: object) -> str:
    path = folder / "record.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_without_a_scan_the_source_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no vulnerability scan"):
        own_records.read_scan(str(tmp_path / "record.json"))


def test_the_record_is_returned_without_ended_processes(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("")
    os.utime(status, (5, 5))
    here = {"pid": os.getpid(), "began": processes.started(os.getpid()), "name": "me"}
    document = record()
    document["host"]["packages_changed"] = 5
    document["host"]["restarts"] = [here, {**here, "began": 1}, {"pid": 2**22, "began": 3}, {"pid": None}, 7]
    found = own_records.read_scan(scan_record(tmp_path, document), str(status))
    assert found["record"]["host"]["restarts"] == [here]
    assert found["packages_changed"] is False
    os.utime(status, (6, 6))
    assert own_records.read_scan(scan_record(tmp_path, document), str(status))["packages_changed"] is True


@pytest.mark.parametrize("document", ["{", "[" * 100_000, [], {"format": "x"}, {"format": "hardener/scan/1"}])
def test_an_invalid_record_fails_the_source(tmp_path: Path, document: object) -> None:
    with pytest.raises(Failed):
        own_records.read_scan(scan_record(tmp_path, document))


CONTAINER = {"name": "web", "running": True, "by_digest": False}
VERIFIED_IMAGE = {"id": "sha256:1", "status": "exempt", "detail": "why", "rule": "", "until": "2026-12-31"}
VERIFICATION: dict[str, Any] = {
    "schema": "hardener/trust/1",
    "verified_at": "2026-11-25T04:00:00Z",
    "policy": "ab",
    "images": [{**VERIFIED_IMAGE, "names": ["a"], "containers": [{**CONTAINER, "more": 1}]}],
}


def verification_record(folder: Path, record: object) -> str:
    path = folder / "record.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return str(path)


def test_unknown_fields_of_the_record_are_dropped(tmp_path: Path) -> None:
    policy = tmp_path / "trust.json"
    policy.touch()
    os.utime(policy, (1795500000.9, 1795500000.9))
    assert own_records.read_verification(verification_record(tmp_path, VERIFICATION), str(policy)) == {
        "verified_at": "2026-11-25T04:00:00Z",
        "policy": "ab",
        "policy_written": "2026-11-24T06:00:00Z",
        "images": [{**VERIFIED_IMAGE, "containers": [CONTAINER]}],
    }


def test_without_a_verification_the_source_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no verification"):
        own_records.read_verification(str(tmp_path / "none"))


def test_a_host_without_a_policy_has_no_policy_time(tmp_path: Path) -> None:
    assert (
        own_records.read_verification(verification_record(tmp_path, VERIFICATION), str(tmp_path / "none"))[
            "policy_written"
        ]
        == ""
    )


def test_a_record_of_an_earlier_version_is_read_without_the_last_days_of_exceptions(tmp_path: Path) -> None:
    image = {**{key: VERIFIED_IMAGE[key] for key in VERIFIED_IMAGE if key != "until"}, "containers": []}
    assert (
        own_records.read_verification(verification_record(tmp_path, {**VERIFICATION, "images": [image]}))[
            "images"
        ][0]["until"]
        == ""
    )


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[" * 100_000,
        [],
        {},
        {**VERIFICATION, "schema": "hardener/trust/2"},
        {**VERIFICATION, "images": 7},
        {**VERIFICATION, "images": [7]},
        {**VERIFICATION, "images": [{}]},
        {**VERIFICATION, "images": [{**VERIFIED_IMAGE, "containers": None}]},
        {key: value for key, value in VERIFICATION.items() if key != "verified_at"},
    ],
)
def test_an_invalid_record_of_a_verification_fails_the_source(tmp_path: Path, record: object) -> None:
    with pytest.raises(Failed, match=r"record\.json"):
        own_records.read_verification(verification_record(tmp_path, record))


def test_hostile_texts_are_put_on_one_line(tmp_path: Path) -> None:
    record = {
        **VERIFICATION,
        "images": [{**VERIFIED_IMAGE, "detail": "a\n\x1b[2Jb" + "x" * 9999, "containers": []}],
    }
    detail = own_records.read_verification(verification_record(tmp_path, record))["images"][0]["detail"]
    assert detail.isprintable()
    assert len(detail) <= 300
