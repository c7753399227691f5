from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    files,
    history,
    records,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.files import State
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan
from ansible_collections.hardener.docker.plugins.module_utils.converge.pruning import Limits

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, interrupted, tree, when


@pytest.fixture
def recorded(host: Host, monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    class Mine(Recorded):
        log = host.folder / "log"

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    return Mine


def test_check_mode_predicts_the_run_and_changes_nothing(host: Host) -> None:
    host.write("d.json", '{"debug": true}')
    before = tree(host.folder)
    wanted = (host.json("d.json", {"icc": False}), host.file("new/x", "text"))
    predicted = host.converge(*wanted, check=True)
    assert tree(host.folder) == before
    assert predicted["outcome"] == "would_change"
    done = host.converge(*wanted)
    assert done["outcome"] == "changed"
    for key in ("changed", "changes", "diff", "activations"):
        assert predicted[key] == done[key]
    assert host.read("new/x") == "text"


def test_a_second_run_changes_nothing_and_makes_no_backup(host: Host) -> None:
    wanted = (host.json("d.json", {"icc": False}), host.file("x", "text"))
    host.converge(*wanted)
    before = tree(host.folder)
    again = host.converge(*wanted)
    assert (again["changed"], again["outcome"], again["diff"]) == (False, "unchanged", [])
    assert {name: found for name, found in tree(host.folder).items() if name != "hardener/lock"} == {
        name: found for name, found in before.items() if name != "hardener/lock"
    }


def test_only_root_can_read_the_backups(host: Host) -> None:
    host.write("d.json", '{"proxies": {"http-proxy": "http://u:p@x"}}')
    run = host.converge(host.json("d.json", {"icc": False}))["run"]
    assert Path(host.store.folder).stat().st_mode & 0o777 == 0o700
    folder = Path(host.store.backup_folder(run))
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path
    manifest = json.loads((folder / "manifest.json").read_text())
    (entry,) = [entry for entry in manifest["entries"] if entry["path"] == host.path("d.json")]
    assert (folder / entry["stored"]).read_text() == '{"proxies": {"http-proxy": "http://u:p@x"}}'
    assert json.loads((folder / "result.json").read_text())["outcome"] == "changed"


def test_the_number_of_backups_is_limited_and_the_newest_one_is_kept(host: Host) -> None:
    runs = [host.converge(host.file("x", str(number)))["run"] for number in range(Limits().runs + 2)]
    kept = [path.name for path in Path(host.store.backup_folder("x")).parent.iterdir()]
    assert len(kept) == Limits().runs
    assert runs[-1] in kept


def test_activations_run_only_if_their_path_changes(host: Host, recorded: type[Recorded]) -> None:
    done = host.converge(host.file("x", "1"), host.file("y", "1"), activations=when(host.path("x")))
    assert [activation["why"] for activation in done["activations"]] == [[f"{host.path('x')} changes"]]
    host.converge(host.file("x", "1"), host.file("y", "2"), activations=when(host.path("x")))
    assert host.read("log") == "perform\n"


@pytest.mark.parametrize("fails", ["perform", "problems"])
def test_a_failing_activation_rolls_everything_back(host: Host, recorded: type[Recorded], fails: str) -> None:
    host.write("x", "old")
    host.write("loose", "")
    (host.folder / "loose").chmod(0o666)
    before = tree(host.folder)
    modified = (host.folder / "x").stat().st_mtime_ns
    recorded.fails = fails
    done = host.converge(
        host.file("x", "new"),
        host.file("made/for/it", ""),
        host.json("d.json", {"icc": False}),
        {"kind": "attributes", "path": host.path("loose"), "at_most": "0600"},
        activations=when(host.path("x")),
    )
    assert (done["failed"], done["outcome"]) == (True, "rolled_back")
    assert done["reason"] == {"perform": "it does not start", "problems": "a container is lost"}[fails]
    after = tree(host.folder)
    log = after.pop("log")[1]
    assert log == b"perform\nundo before\n"
    assert {name: found for name, found in after.items() if not name.startswith("hardener")} == before
    assert (host.folder / "x").stat().st_mtime_ns == modified
    assert Journal.find(host.store) is None


def test_a_failed_rollback_is_retried_by_the_next_run(host: Host, recorded: type[Recorded]) -> None:
    host.write("x", "old")
    recorded.fails, recorded.undo_fails = "perform", True
    done = host.converge(host.file("x", "new"), activations=when(host.path("x")))
    assert (done["outcome"], done["problems"]) == ("rollback_failed", ["it still does not start"])
    with pytest.raises(Refused, match="cannot be rolled back: it still does not start"):
        host.converge(host.file("x", "new"), activations=when(host.path("x")))
    recorded.fails, recorded.undo_fails = "", False
    done = host.converge(host.file("x", "new"), activations=when(host.path("x")))
    assert done["outcome"] == "changed"
    assert "was interrupted" in done["notes"][0]


def test_a_killed_run_is_rolled_back_by_the_next(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        host.write(name, "old")
    wanted = [host.file(name, "new") for name in "abc"]
    interrupted(host, monkeypatch, *wanted, writes=2)
    assert [host.read(name) for name in "abc"] == ["new", "new", "old"]

    before = tree(host.folder)
    predicted = host.converge(host.file("a", "third"), check=True)
    assert tree(host.folder) == before
    done = host.converge(host.file("a", "third"))
    assert [host.read(name) for name in "abc"] == ["third", "old", "old"]
    assert done["recovered"] == predicted["recovered"] != ""
    assert [change["path"] for change in predicted["changes"]] == [
        host.path("a"),
        host.path("b"),
        host.path("a"),
    ]
    assert Journal.find(host.store) is None


def test_changes_of_others_after_a_killed_run_stay(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("a", "old")
    host.write("b", "old")
    interrupted(host, monkeypatch, host.file("a", "new"), host.file("b", "new"), writes=1)
    host.write("a", "an admin's")
    done = host.converge(host.file("b", "old"))
    assert host.read("a") == "an admin's"
    assert any("changed by others" in note for note in done["notes"])


def test_a_full_disk_for_the_backup_refuses_the_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("x", "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(Refused, match=r"no backup can be made in .*: No space left"):
        host.converge(host.file("x", "new"))
    assert host.read("x") == "old"
    assert list(Path(host.store.folder, "backups").iterdir()) == []


def test_pending_changes_are_reported_once_with_and_without_other_changes(
    host: Host, recorded: type[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(self: Recorded, plan: Plan) -> None:
        self.pending = ["at the next boot"]

    monkeypatch.setattr(recorded, "prepare", prepare)
    for content in ("1", "1", "2"):
        assert host.converge(host.file("x", content), activations=when())["pending"] == ["at the next boot"]


def test_a_backup_folder_of_another_user_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.converge(host.file("x", "1"))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(Refused, match="belongs to another user"):
        host.converge(host.file("x", "2"))


def test_a_file_that_cannot_be_written_is_named_and_the_other_files_are_restored(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("a", "old")
    put = files.put

    def read_only(path: str, before: State, after: State, **named: bool) -> None:
        if path == host.path("b"):
            raise OSError(errno.EROFS, "Read-only file system")
        put(path, before, after, **named)

    monkeypatch.setattr(files, "put", read_only)
    done = host.converge(host.file("a", "new"), host.file("b", "new"))
    assert done["outcome"] == "rolled_back"
    assert done["reason"] == f"{host.path('b')} cannot be changed: Read-only file system"
    assert host.read("a") == "old"


def test_a_concurrent_run_is_refused(host: Host) -> None:
    host.converge(host.file("x", "1"))
    with Path(host.store.lock).open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for check in (False, True):
            with pytest.raises(Refused, match=r"another run is changing this host \(pid \d+, since"):
                host.converge(host.file("x", "2"), check=check)
    assert host.read("x") == "1"


def test_two_runs_in_check_mode_share_the_lock(host: Host) -> None:
    host.converge(host.file("x", "1"))
    with Path(host.store.lock).open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert host.converge(host.file("x", "2"), check=True)["outcome"] == "would_change"


def test_a_failure_before_the_first_change_refuses_the_run(host: Host, recorded: type[Recorded]) -> None:
    recorded.fails = "prepare"
    with pytest.raises(Refused, match="apt cannot read its configuration"):
        host.converge(host.file("x", "1"), activations=when(host.path("x")))
    assert not Path(host.path("x")).exists()
    assert Journal.find(host.store) is None


def test_a_refused_document_does_not_stop_the_others(host: Host) -> None:
    refusing = {"name": "b", "refused": "no audit here"}
    done = host.converge_all({"name": "a", "resources": [host.file("x", "1")]}, refusing)
    assert (done["outcome"], done["refused"]) == ("changed", ["b: no audit here"])
    alone = host.converge_all(refusing)
    assert (alone["outcome"], alone["failed"], alone["reason"]) == ("refused", True, "b: no audit here")


def test_only_the_reviewed_plan_is_applied(host: Host) -> None:
    host.write("x", "0")
    plan = host.converge(host.file("x", "1"), check=True)["plan"]
    host.write("x", "somebody was here")
    with pytest.raises(Refused, match="plan again"):
        host.converge(host.file("x", "1"), plan=plan)
    host.write("x", "0")
    with pytest.raises(Refused, match="plan again"):
        host.converge(host.file("x", "2"), plan=plan)
    assert host.read("x") == "0"
    assert host.converge(host.file("x", "1"), plan=plan)["outcome"] == "changed"


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens when the plan is made, and the backup too."""
    begin = Journal.begin

    def late(*arguments: Any, **named: Any) -> Journal:
        happens()
        return begin(*arguments, **named)

    monkeypatch.setattr(Journal, "begin", late)


@pytest.mark.parametrize("path", ["b", "new"])
def test_a_change_of_others_during_planning_is_not_lost(
    host: Host, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    host.write("a", "old")
    host.write("b", "old")
    meanwhile(monkeypatch, lambda: host.write(path, "an admin's"))
    done = host.converge(*(host.file(name, "ours") for name in ("a", "b", "new")))
    assert done["outcome"] == "partly_rolled_back"
    assert done["reason"] == f"{host.path(path)} was changed by others meanwhile: try again"
    assert done["notes"] == [f"{host.path(path)} was changed by others meanwhile, and stays as it is"]
    assert (host.read("a"), host.read(path)) == ("old", "an admin's")


def test_a_mode_that_others_set_during_planning_is_not_lost(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("a", "")
    (host.folder / "a").chmod(0o666)
    meanwhile(monkeypatch, lambda: (host.folder / "a").chmod(0o000))
    done = host.converge({"kind": "attributes", "path": host.path("a"), "at_most": "0600"})
    assert (done["outcome"], (host.folder / "a").stat().st_mode & 0o777) == ("partly_rolled_back", 0)
    assert done["notes"] == [
        f"owner and mode of {host.path('a')} were changed by others meanwhile, and stay as they are"
    ]


@pytest.mark.parametrize("how", ["killed", "disk full"])
def test_a_run_that_never_began_does_not_block_later_ones(
    host: Host, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    host.converge(host.file("x", "1"))

    def ends() -> None:
        if how == "killed":
            os.kill(os.getpid(), 9)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        meanwhile(patched, ends)
        with pytest.raises((Failed, Refused), match=r"killed|No space"):
            host.converge(host.file("x", "2"))
    assert history.back_to(host.store, before="", who="", check=False)["outcome"] == "changed"
    assert not (host.folder / "x").exists()


@pytest.mark.parametrize("fails", ["", "perform"])
def test_a_run_whose_end_cannot_be_recorded_stays_unfinished(
    host: Host, recorded: type[Recorded], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    host.write("x", "old")
    recorded.fails = fails
    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", _broken)
        done = host.converge(host.file("x", "new"), activations=when(host.path("x")))
    assert (done["outcome"], host.read("x")) == ("rollback_failed", "old")
    assert done["problems"] == ["the record of the rollback cannot be written: a file: Input/output error"]
    journal = Journal.find(host.store)
    assert journal is not None
    recorded.fails = ""
    assert host.converge()["recovered"] == journal.run
    assert host.store.record(journal.run)["outcome"] == "rolled_back"


def test_an_activation_without_an_entry_in_the_journal_has_not_begun(
    host: Host, recorded: type[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    write = records.write

    def fails_for_good(path: str, data: dict[str, Any]) -> None:
        if data.get("memory") or broken:
            broken.append(path)
            _broken()
        write(path, data)

    def put(*arguments: Any, **options: Any) -> None:
        _broken() if broken else files_put(*arguments, **options)

    broken: list[str] = []
    files_put = files.put
    monkeypatch.setattr(records, "write", fails_for_good)
    monkeypatch.setattr(files, "put", put)
    done = host.converge(host.file("x", "new"), activations=when(host.path("x")))
    assert done["outcome"] == "rollback_failed"
    # Undone all the same, it would be without its memory, and would have to be undone again with the file.
    no_record = "the record of the rollback cannot be written: a file: Input/output error"
    assert done["problems"] == [f"{host.path('x')}: Input/output error", no_record]
    assert not recorded.log.exists()


def test_reserved_disk_space_that_a_run_cannot_free_is_freed_by_the_next_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    with monkeypatch.context() as patch:
        patch.setattr(files, "release", lambda _: None)  # as where the disk fails
        assert host.converge(host.file("x", "new"))["outcome"] == "changed"
    assert [*host.folder.glob(".x.reserve*")]
    assert host.converge()["outcome"] == "unchanged"
    assert not [*host.folder.rglob("*.reserve*")]


def _broken(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
