from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import runs

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


def test_an_unchanged_host_has_no_runs(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="has not changed this host"):
        runs.read(str(tmp_path))


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
    assert runs.read(str(tmp_path)) == {
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
    assert runs.read(str(tmp_path)) == {
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
    assert runs.read(str(tmp_path))["in_force"] == ["a", "c", "e", "release"]


def test_at_most_ten_runs_are_listed(tmp_path: Path) -> None:
    for minute in range(12):
        leave(tmp_path, f"20261125T04{minute:02}00Z-1b2c3d4e", {})
    found = runs.read(str(tmp_path))["runs"]
    assert [run["run"][9:13] for run in found] == [f"04{minute:02}" for minute in range(11, 1, -1)]
