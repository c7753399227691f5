from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    history,
    liveness,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Activation
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, tree, when

isdir = os.path.isdir


class Loaded(Activation):
    """Stands for what the kernel has loaded: the content of a file, until somebody loads another one."""

    name = "systemd-reload"
    path: Path
    loaded: ClassVar[list[str]]
    fails = False

    def perform(self) -> None:
        self.memory["loaded"] = self.loaded[-1]
        self.save()
        self.loaded.append(self.path.read_text())

    def undo(self) -> list[str]:
        if self.fails:
            raise Failed("it cannot be loaded")
        (self.path.parent / "undone").open("a").write(f"{self.memory['loaded']}\n")
        return []


@pytest.fixture
def loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> type[Loaded]:
    class Mine(Loaded):
        path = host.folder / "x"

    Mine.loaded = ["nothing"]
    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    return Mine


def three(host: Host) -> list[str]:
    """Three runs, each of which changes x and makes a file of its own."""
    return [
        host.converge(
            host.file("x", f"{number}"), host.file(f"own{number}", ""), activations=when(host.path("x"))
        )["run"]
        for number in (1, 2, 3)
    ]


def back(host: Host, before: str = "", *, check: bool = False) -> dict[str, Any]:
    return history.back_to(host.store, before=before, who="me@here", check=check)


def visible(host: Host) -> dict[str, Any]:
    return {name: found for name, found in tree(host.folder).items() if not name.startswith("hardener")}


def test_the_last_run_is_rolled_back(host: Host, loaded: type[Loaded]) -> None:
    runs = three(host)
    done = back(host)
    assert (done["outcome"], done["changed"], done["runs"]) == ("changed", True, [runs[2]])
    assert (host.read("x"), (host.folder / "own3").exists()) == ("2", False)
    assert (host.read("undone"), done["activations"]) == ("nothing\n", ["systemd-reload"])
    record = host.store.record(runs[2])
    assert (record["outcome"], record["reason"]) == ("rolled_back", "rolled back on request of me@here")
    assert back(host)["runs"] == [runs[1]]  # a run that is rolled back already is left out
    assert Journal.find(host.store) is None


def test_a_run_and_all_later_ones_are_rolled_back_newest_first(host: Host, loaded: type[Loaded]) -> None:
    before = visible(host)
    runs = three(host)
    predicted = back(host, runs[0], check=True)
    assert predicted["outcome"] == "would_change"
    done = back(host, runs[0])
    assert done["runs"] == predicted["runs"] == runs[::-1]
    assert done["diff"] == predicted["diff"]
    assert {change["path"]: change["what"] for change in done["changes"]} == {
        host.path(name): "remove" for name in ("x", "own1", "own2", "own3")
    }
    assert {name: found for name, found in visible(host).items() if name != "undone"} == before
    assert back(host) == {**back(host), "changed": False, "outcome": "unchanged", "runs": []}


def test_packages_and_kernel_modules_that_stay_are_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Modules(Recorded):
        name, log = "modules-load", host.folder / "log"
        known = frozenset({"when", "modules"})

    monkeypatch.setattr(activations, "KINDS", {"modules-load": Modules})
    monkeypatch.setattr(system, "installed", lambda program: True)
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/sys/module/br_netfilter" or isdir(path))
    load = {"name": "modules-load", "when": [host.path("x")], "modules": ["br_netfilter", "absent"]}
    host.converge_all(
        {"name": "audit_rules_files", "resources": [host.file("x", "1")], "activations": [load]},
    )
    module = "the kernel module br_netfilter stays loaded until the next boot"
    package = (
        "auditd or audit stays installed, even if hardener installed it: remove it if nothing else needs it"
    )
    monkeypatch.setattr(owners, "OUTSIDE", {"audit_rules": (host.path("cache"),), "other": (host.path("x"),)})
    host.write("cache", "")
    cache = f"{host.path('cache')} stays: hardener's programs wrote it, and `hardener release` removes it"
    assert back(host, check=True)["notes"] == back(host)["notes"] == [package, module, cache]


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_that_removes_a_profile_that_containers_need_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    class Profiles(Recorded):
        name, log = "apparmor-load", host.folder / "log"
        known = frozenset({"when", "profiles"})

    asked: list[set[str]] = []

    def require_unneeded(profiles: set[str], _finder: object) -> list[str]:
        asked.append(profiles)
        if profiles:
            raise Refused("shop would not start after the next boot")
        return []

    monkeypatch.setattr(activations, "KINDS", {"apparmor-load": Profiles})
    monkeypatch.setattr(history, "require_unneeded", require_unneeded)
    path = host.path("audited")
    load = [{"name": "apparmor-load", "when": [path], "profiles": {path: "docker-default-audited"}}]
    first = host.converge(host.file("audited", "1"), activations=load)["run"]
    host.converge(host.file("audited", "2"), activations=load)
    assert back(host, check=check)["outcome"] == ("would_change" if check else "changed")  # the file stays
    with pytest.raises(Refused, match="shop would not start"):
        back(host, first, check=check)
    assert asked == [set(), {"docker-default-audited"}]
    assert host.read("audited") == ("2" if check else "1")


def test_check_mode_changes_nothing(host: Host, loaded: type[Loaded]) -> None:
    three(host)
    before = tree(host.folder)
    back(host, check=True)
    assert tree(host.folder) == before


def test_later_changes_of_others_stay_and_are_reported(host: Host, loaded: type[Loaded]) -> None:
    three(host)
    host.write("x", "by hand")
    note = f"{host.path('x')} was changed by others meanwhile, and stays as it is"
    assert back(host, check=True)["notes"] == [note]
    done = back(host)
    assert note in done["notes"]
    assert (host.read("x"), (host.folder / "own3").exists()) == ("by hand", False)


def test_keys_of_a_file_and_their_ownership_are_restored(host: Host) -> None:
    host.write("d.json", '{"debug": true}')
    host.converge(host.json("d.json", {"icc": False}))
    host.converge(host.json("d.json", {"icc": False, "ipv6": True}))
    back(host)
    assert json.loads(host.read("d.json")) == {"debug": True, "icc": False}
    assert host.converge(host.json("d.json", {"icc": False}))["outcome"] == "unchanged"
    back(host)
    assert json.loads(host.read("d.json")) == {"debug": True}


def test_a_failing_rollback_stops_and_the_next_one_continues(host: Host, loaded: type[Loaded]) -> None:
    runs = three(host)
    loaded.fails = True
    done = back(host, runs[0])
    assert (done["outcome"], done["problems"]) == ("rollback_failed", ["it cannot be loaded"])
    assert f"run {runs[2]} was rolled back in part" in done["reason"]
    assert host.read("x") == "2"
    loaded.fails = False
    assert back(host, runs[0])["runs"] == runs[::-1]
    assert not (host.folder / "x").exists()


def lose(monkeypatch: pytest.MonkeyPatch, *losses: list[str]) -> None:
    """Have the host lose something with each run that is rolled back."""
    each = iter(losses)
    monkeypatch.setattr(liveness, "lost", lambda _: next(each))


def test_programs_lost_by_any_of_the_rolled_back_runs_are_reported(
    host: Host, loaded: type[Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = three(host)
    lose(monkeypatch, ["no shell"], [], ["no ssh", "no shell"])
    done = back(host, runs[0])
    assert (done["outcome"], done["problems"]) == ("rollback_failed", ["no shell", "no ssh"])


def test_a_failing_rollback_reports_losses_and_kept_files_of_the_rollbacks_before_it(
    host: Host, loaded: type[Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = three(host)
    (host.folder / "own3").write_text("by hand")
    lose(monkeypatch, ["no shell"], [], [])
    undo, undone = loaded.undo, iter([True, False])

    def once(self: Loaded) -> list[str]:
        if not next(undone):
            raise Failed("it cannot be loaded")
        return undo(self)

    monkeypatch.setattr(loaded, "undo", once)
    done = back(host, runs[0])
    assert (done["outcome"], done["problems"]) == ("rollback_failed", ["no shell", "it cannot be loaded"])
    assert f"run {runs[1]} was rolled back in part; not rolled back: {runs[0]}" in done["reason"]
    assert any("own3" in note for note in done["kept"])
    assert any("own3" in note for note in done["notes"])


def test_an_unknown_run_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match="has not changed this host"):
        back(host)
    run = host.converge(host.file("x", "1"))["run"]
    with pytest.raises(Refused, match=f"no backup of a run 'other'; it has {run}"):
        back(host, "other")


def test_the_list_shows_the_outcome_of_each_run(host: Host, loaded: type[Loaded]) -> None:
    assert history.listed(host.store) == []
    runs = three(host)
    back(host)
    (Path(host.store.backup_folder(runs[0])) / "manifest.json").write_text("{")
    last, second, first = history.listed(host.store)
    assert (last["run"], last["outcome"]) == (runs[2], "rolled_back")
    assert last["reason"] == "rolled back on request of me@here"
    assert last["paths"] == [host.path("x"), host.path("own3")]
    assert last["started"] <= last["ended"]
    assert (second["outcome"], second["run"]) == ("changed", runs[1])
    assert first["outcome"] == "damaged"


def test_runs_are_sorted_after_the_clock_was_set_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    first = host.converge(host.file("x", "1"))["run"]
    gmtime = time.gmtime
    monkeypatch.setattr(time, "gmtime", lambda *seconds: gmtime(*(seconds or (1e9,))))
    second = host.converge(host.file("x", "2"))["run"]
    assert first < second
    assert not second.startswith("2001")


def test_a_mode_that_others_have_set_stays_and_is_reported(host: Host) -> None:
    host.write("x", "old")
    host.write("y", "")
    (host.folder / "y").chmod(0o666)
    host.converge(host.file("x", "new"), {"kind": "attributes", "path": host.path("y"), "at_most": "0644"})
    (host.folder / "x").chmod(0o600)
    (host.folder / "y").chmod(0o600)
    notes = [
        f"owner and mode of {host.path(name)} were changed by others meanwhile, and stay as they are"
        for name in "yx"
    ]
    assert back(host, check=True)["notes"] == notes
    assert back(host)["notes"] == notes
    assert host.read("x") == "old"
    assert [(host.folder / name).stat().st_mode & 0o777 for name in "xy"] == [0o600, 0o600]


def test_a_file_restored_by_an_interrupted_rollback_gets_its_modification_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    os.utime(host.folder / "x", ns=(10**18, 10**18))
    host.converge(host.file("x", "new"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", _fails)
        assert back(host)["outcome"] == "rollback_failed"
    assert back(host)["outcome"] == "changed"
    assert (host.read("x"), (host.folder / "x").stat().st_mtime_ns) == ("old", 10**18)


def test_the_removal_of_a_folder_is_retried(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.converge(host.file("made/for/it", "new"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", _fails)
        assert back(host)["outcome"] == "rollback_failed"
    assert back(host)["outcome"] == "changed"
    assert not (host.folder / "made").exists()


def _fails(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_object_that_others_put_in_place_of_a_file_stays(host: Host) -> None:
    host.converge(host.file("x", "ours"))
    (host.folder / "x").unlink()
    (host.folder / "x").symlink_to("theirs")
    note = f"{host.path('x')} was changed by others meanwhile, and stays as it is"
    assert back(host)["notes"] == [note]
    assert (host.folder / "x").is_symlink()
