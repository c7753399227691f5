from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history import History, StoredRun
from hardener.history.inventories import inventory_key
from tests.unit.history.runs import NOW, put, record, stored
from tests.unit.reports.assessments import assessment


def audited(history: History, name: str, inventory: str) -> StoredRun:
    """A run over an inventory of this name."""
    with history.begin() as recording:
        recording.finish(replace(record(name), inventory=inventory), stored([assessment()]))
    return history.run(name)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("db01,db02", " db02 ,db01,", True),
        ("db01,", "db01,db01", True),
        ("db01,", "db02,", False),
        ("db01,", "db01,db02", False),
        ("/etc/prod.yml", "/etc/prod.yml", True),
        ("/etc/prod.yml", "/etc/stage.yml", False),
        ("/etc/a,b", "/etc/b,a", False),
        ("/etc/prod,", "etc/prod,", False),
        ("", "a,", False),
    ],
)
def test_names_of_the_same_inventory_are_recognised(one: str, other: str, same: bool) -> None:
    assert (inventory_key(one) == inventory_key(other)) is same


def test_latest_is_the_latest_run_of_one_inventory(history: History) -> None:
    audited(history, "p1", "/prod")
    audited(history, "s1", "/stage")
    audited(history, "p2", "/prod")
    audited(history, "s2", "/stage")
    assert history.run("latest", "/prod").id == "p2"
    assert history.run("latest~1", "/prod").id == "p1"
    assert history.run("latest~1", "/stage").id == "s1"
    assert [run.id for run in history.runs("/stage")] == ["s2", "s1"]
    with pytest.raises(HardenerError, match=r"there is no run 'latest~2' of /prod \(2 runs are kept"):
        history.run("latest~2", "/prod")


def test_latest_and_baseline_mean_the_inventory_that_was_used_last(history: History) -> None:
    audited(history, "p1", "/prod")
    audited(history, "l1", "db02,db01")
    audited(history, "l2", "db01,db02")
    history.set_baseline(history.run("l1"))
    assert [history.run(name).id for name in ("latest", "latest~1", "baseline")] == ["l2", "l1", "l1"]
    audited(history, "p2", "/prod")
    assert history.run("latest~1").id == "p1"
    with pytest.raises(HardenerError, match="there is no baseline of /prod"):
        history.run("baseline")


def test_a_run_is_found_by_its_id_without_its_inventory(history: History) -> None:
    audited(history, "p1", "/prod")
    audited(history, "s1", "/stage")
    assert history.run("p").id == "p1"
    assert history.run("p1", "/stage").id == "p1"


def test_a_list_of_hosts_is_the_same_inventory_in_any_order(
    history: History, snapshot: Callable[[str], Path]
) -> None:
    audited(history, "a", "db02, db01")
    audited(history, "b", "db01,db02")
    assert history.run("latest~1", "db01,db02").id == "a"
    assert history.run("latest").id == "b"
    history.set_baseline(history.run("a"))
    history.set_baseline(history.run("b"))
    for name in ("db01,db02", "db02, db01"):
        baseline = history.baseline(name)
        assert baseline
        assert baseline.id == "b"
    assert len(history.series(history.run("b"), 10)) == 2


def test_an_inventory_without_runs_is_an_error(history: History) -> None:
    audited(history, "p1", "/prod")
    with pytest.raises(HardenerError, match=r"no run of /stage is kept \(there are runs of /prod"):
        history.run("latest", "/stage")
    with pytest.raises(HardenerError, match="there is no baseline of /prod"):
        history.run("baseline", "/prod")


def test_the_error_names_ten_inventories_and_counts_the_others(history: History) -> None:
    for number in range(12):
        audited(history, f"r{number:02}", f"/inventories/{number:02}\x1b[31m")
    with pytest.raises(HardenerError) as refused:
        history.run("latest", "/none")
    assert "/inventories/11\\x1b[31m" in str(refused.value)
    assert str(refused.value).endswith("+2 more)")


def test_stored_runs_without_an_inventory_are_named_in_the_error(history: History) -> None:
    put(history, "old", ended=NOW - timedelta(days=1))
    with sqlite3.connect(history.path / "history.sqlite3") as connection:
        connection.execute("UPDATE run SET inventory = '', record = json_remove(record, '$.inventory')")
    assert history.run("latest").id == "old"
    audited(history, "new", "/prod")
    assert history.run("latest", "/prod").id == "new"
    with pytest.raises(HardenerError, match=r"one without a name \(1 run"):
        history.run("latest", "/none")


def quiet() -> None:
    pytest.fail("nobody is in the way")


def is_free(history: History, inventory: str, *, exclusive: bool) -> bool:
    """Whether somebody else would have a turn at once."""

    class BusyError(Exception):
        pass

    def busy() -> None:
        raise BusyError

    try:
        with history.lock(inventory, exclusive=exclusive, waiting=busy):
            return True
    except BusyError:
        return False


def test_readers_share_the_lock(history: History) -> None:
    with history.lock("prod", exclusive=False, waiting=quiet):
        assert is_free(history, "prod", exclusive=False)
        assert not is_free(history, "prod", exclusive=True)
    assert is_free(history, "prod", exclusive=True)


def test_a_changing_run_locks_only_its_inventory(history: History) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        assert not is_free(history, "prod", exclusive=False)
        assert not is_free(history, "prod", exclusive=True)
        assert is_free(history, "../prod\n\udc80", exclusive=True)


def test_a_waiting_run_gets_the_lock(history: History) -> None:
    order = []
    waiting = threading.Event()

    def second() -> None:
        with history.lock("prod", exclusive=False, waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with history.lock("prod", exclusive=True, waiting=quiet):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_released(history: History) -> None:
    source = (
        "import os, sys, pathlib; from hardener.history import History\n"
        "with History(pathlib.Path(sys.argv[1])).lock('prod', exclusive=True, waiting=sys.exit):\n"
        "    print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(history.path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("held\n", -9)
    assert is_free(history, "prod", exclusive=True)


def test_processes_that_ansible_leaves_do_not_inherit_the_lock(history: History) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        left = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert is_free(history, "prod", exclusive=True)
    finally:
        left.kill()
        left.wait()


def test_a_link_in_place_of_the_lock_file_is_not_followed(history: History, tmp_path: Path) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        pass
    (lock,) = (history.path / "locks").iterdir()
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.unlink()
    lock.symlink_to(tmp_path / "target")
    with pytest.raises(HardenerError, match="the history in"):
        is_free(history, "prod", exclusive=True)
    assert not os.path.lexists(tmp_path / "target")
