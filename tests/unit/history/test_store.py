from __future__ import annotations

import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from hardener.model import Status
from tests.unit.history.runs import NOW, put, record, stored
from tests.unit.reports.assessments import HOSTILE, assessment, gone, hostile_assessment


def test_a_stored_run_is_read_exactly(history: History, snapshot: Callable[[str], Path]) -> None:
    found = [assessment("b"), assessment("a"), gone("c"), *map(hostile_assessment, HOSTILE)]
    run = put(history, "one", found, snapshots={"a": snapshot('{"a": 1}')})
    assert list(run.assessments()) == found
    assert list(run.snapshots()) == [("a", b'{"a": 1}')]
    assert run.snapshot("a") == b'{"a": 1}'
    assert run.snapshot("b") is None
    assert run.record == replace(record("one"), not_begun=len(HOSTILE), change_failed=len(HOSTILE))
    assert (run.hosts, run.unreachable) == (len(found), 1)
    assert run.counts() == sum((each.counts() for each in found), Counter[Status]())


def test_findings_are_counted_by_section(history: History) -> None:
    run = put(history, assessments=[assessment("a"), gone("b")])
    assert run.sections["images"] == {Status.MANUAL: 1, Status.ERROR: 1}
    assert run.sections["host"] == {Status.FAIL: 1, Status.PASS: 1, Status.ERROR: 2}


def test_runs_are_found_by_name_and_by_prefix_of_the_id(history: History) -> None:
    for name in ("aaa1", "aaa2", "bbb1"):
        put(history, name)
    assert [run.id for run in history.runs()] == ["bbb1", "aaa2", "aaa1"]
    assert history.run("latest").id == "bbb1"
    assert history.run("latest~2").id == "aaa1"
    assert history.run("b").id == "bbb1"
    with pytest.raises(HardenerError, match=r"2 runs have an id that begins with 'aaa'.*aaa1"):
        history.run("aaa")


@pytest.mark.parametrize("name", ["", "zzz", "latest~3", "latest~", "%", "'; DROP TABLE run; --", "../runs"])
def test_an_unknown_name_is_an_error(history: History, name: str) -> None:
    put(history, "a")
    with pytest.raises(HardenerError, match=r"there is no run.*1 run is kept"):
        history.run(name)


def test_an_empty_history_is_an_error_and_not_created(history: History) -> None:
    assert list(history.runs()) == []
    with pytest.raises(HardenerError, match="no run is kept in"):
        history.run("latest")
    assert not history.path.exists()


def test_only_the_owner_can_read_the_history(history: History, snapshot: Callable[[str], Path]) -> None:
    put(history, snapshots={"db01.example.com": snapshot("{}")})
    for path in (history.path, *history.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_writable_by_others_is_refused_and_unchanged(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(HardenerError, match="other users can write"):
        History(tmp_path).begin()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HardenerError, match="Not a directory"):
        History(tmp_path / "file" / "home").begin()


def test_a_file_that_is_not_a_database_is_an_error(history: History) -> None:
    put(history)
    (history.path / "history.sqlite3").write_bytes(b"no database at all, and long enough to see it" * 100)
    with pytest.raises(HardenerError, match="file is not a database"):
        history.begin()


@pytest.mark.parametrize(
    "damage", ["UPDATE run SET record = substr(record, 1, 100)", "UPDATE tally SET status = status || 'x'"]
)
def test_a_malformed_row_is_reported_as_damage(history: History, damage: str) -> None:
    put(history)
    with sqlite3.connect(history.path / "history.sqlite3") as connection:
        connection.execute(damage)
    with pytest.raises(HardenerError, match=r"the history in .* is damaged"):
        list(history.runs())


def test_the_baseline_can_be_moved_to_another_run(history: History) -> None:
    put(history, "a")
    put(history, "b")
    with pytest.raises(HardenerError, match="there is no baseline"):
        history.run("baseline")
    history.set_baseline(history.run("a"))
    assert history.run("baseline").id == "a"
    history.set_baseline(history.run("b"))
    assert history.run("baseline").id == "b"


def test_the_oldest_runs_are_removed(history: History, snapshot: Callable[[str], Path]) -> None:
    put(history, "old", ended=NOW - timedelta(days=401))
    put(history, "base", ended=NOW - timedelta(days=401))
    history.set_baseline(history.run("base"))
    (history.path / "retention.yml").write_text("keep_runs: 2\n")
    for name in ("a", "b", "c"):
        put(history, name, snapshots={"db01.example.com": snapshot("{}")})
    assert [run.id for run in history.runs()] == ["c", "b", "base"]
    assert sorted(path.name for path in (history.path / "runs").iterdir()) == ["b", "base", "c"]
    assert history.run("base").controls


@pytest.mark.parametrize("damaged", ["", ".", "..", "../precious"])
def test_a_damaged_id_removes_no_other_folder(history: History, damaged: str) -> None:
    (history.path / "retention.yml").parent.mkdir()
    (history.path / "retention.yml").write_text("keep_runs: 1\n")
    put(history, "old")
    (history.path / "precious").mkdir()
    with history.begin() as recording:
        with sqlite3.connect(history.path / "history.sqlite3") as connection:
            connection.execute("UPDATE run SET id = ?", (damaged,))
        recording.finish(record("new"), stored([assessment()]))
    assert [run.number for run in history.runs()] == [2]
    assert {"precious", "runs", "history.sqlite3"} <= {path.name for path in history.path.iterdir()}
    assert (history.path / "runs" / "new").is_dir()


def test_the_run_that_drift_compares_with_is_kept_while_its_inventory_has_runs(history: History) -> None:
    put(history, "other", inventory="other.yml", only=())
    (history.path / "retention.yml").write_text("keep_runs: 3\n")
    put(history, "whole", only=())
    put(history, "part", limit="db01", only=())
    put(history, "section", only=("daemon",))
    put(history, "unseen", [gone("a")], only=())
    for number in range(20):
        put(history, f"drift{number}", verb=("before drift", "drift")[number % 2], only=())
    assert [run.id for run in history.runs()] == ["drift19", "drift18", "drift17", "whole"]
    assert (state := history.state("prod.yml", reference=True))
    assert state.id == "whole"
    put(history, "newer", only=())
    put(history, "drift20", verb="drift", only=())
    assert [run.id for run in history.runs()] == ["drift20", "newer", "drift19"]


def test_the_last_run_with_facts_of_a_host_is_found(
    history: History, snapshot: Callable[[str], Path]
) -> None:
    earlier = NOW - timedelta(days=3)
    put(history, "one", [assessment("a")], ended=earlier, snapshots={"a": snapshot("{}")})
    put(history, "two", [gone("a"), gone("b")])
    assert history.last_seen("prod.yml", "a") == earlier
    assert history.last_seen("prod.yml", "b") is None
    assert history.last_seen("other.yml", "a") is None
