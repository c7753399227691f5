"""How a rollback ends, with each obstacle and each caller."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    documents,
    files,
    guard,
    guard_main,
    health,
    history,
    rollback,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Activation
from ansible_collections.hardener.docker.plugins.module_utils.converge.daemonconfig import TemporaryKeys
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms, Transaction

from tests.unit.plugins.loading import action
from tests.unit.plugins.module_utils.converge.host import Host

CONVERGE = action("converge")
EVERYTHING = "everything is as it was before"
TOKEN = "0123456789abcdef"
LOST = "no longer running: 1 containers (web)"


class Loaded(Activation):
    """Notes how often it is undone, by whichever process, and cannot be for as long as a test wants."""

    name = "systemd-reload"
    folder: Path
    stuck = False

    def perform(self) -> None:
        self.memory["was"] = "loaded"
        self.save()

    def undo(self) -> list[str]:
        if self.stuck:
            raise Failed("it cannot be unloaded")
        with (self.folder / f"undone-{self.name}").open("a") as log:
            log.write("x")
        return []

    undo_at_boot = undo

    @classmethod
    def undone(cls) -> int:
        log = cls.folder / f"undone-{cls.name}"
        return log.stat().st_size if log.exists() else 0


class Other(Loaded):
    """Another one, which never fails."""

    name = "modules-load"


@pytest.fixture
def loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> type[Loaded]:
    monkeypatch.setattr(Loaded, "folder", host.folder, raising=False)
    monkeypatch.setattr(activations, "KINDS", {each.name: each for each in (Loaded, Other)})
    return Loaded


@pytest.fixture(autouse=True)
def no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at but what a test says."""
    monkeypatch.setattr(health, "take_baseline", lambda *_, **__: {"engine": "", "containers": {}})
    monkeypatch.setattr(health, "compare", lambda *_, **__: ([], []))
    monkeypatch.setattr(health, "recover", lambda *_, **__: health.compare({}))


def changed(host: Host, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A run that has changed x, and waits to be confirmed."""
    host.write("x", "old")
    document = {
        "name": "a",
        "impact": "daemon-restart",
        "resources": [host.file("x", "new")],
        "activations": [{"name": name, "when": [host.path("x")]} for name in activations.KINDS],
    }
    request = documents.parse({"documents": [document], "allow": "reboot"}, tuple(activations.KINDS))
    with monkeypatch.context() as patched:
        patched.setattr(guard, "possible", lambda: True)
        patched.setattr(guard, "arm", lambda *_, **__: None)
        Transaction(request, host.store, Terms(TOKEN, 180, "me@here")).run()
    journal = Journal.find(host.store)
    assert journal is not None
    return journal


def let_alone(_: Path) -> None:
    """An administrator who changes nothing."""


def changed_by_hand(path: Path) -> None:
    path.write_text("by hand")
    path.chmod(0o600)


def replaced_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


LATER: dict[str, Callable[[Path], Any]] = {
    "nothing": let_alone,
    "its content": lambda path: path.write_text("by hand"),
    "its mode": lambda path: path.chmod(0o600),
    "both": changed_by_hand,
    "it is gone": lambda path: path.unlink(),
    "it is a link": replaced_by_a_link,
    "it is a folder": replaced_by_a_folder,
}
WHO = ("the run", "at boot", "on request", "the next run")


def roll_back(host: Host, journal: Journal, who: str) -> dict[str, Any]:
    if who == "on request":
        return history.back_to(host.store, before="", who="", check=False)
    if who == "the next run":
        journal.enter(journal.phase, seconds=-1)
        host.converge(host.file("z", "another"))
        return host.store.record(journal.run)
    return rollback.finished(host.store, journal, "no ssh", boot=who == "at boot")


@pytest.mark.parametrize(("later", "missing", "who"), list(itertools.product(LATER, (False, True), WHO)))
def test_the_outcome_of_a_rollback_depends_on_later_changes_and_on_its_caller(
    host: Host,
    loaded: type[Loaded],
    monkeypatch: pytest.MonkeyPatch,
    later: str,
    who: str,
    *,
    missing: bool,
) -> None:
    journal = changed(host, monkeypatch)
    LATER[later](host.folder / "x")
    if missing:
        monkeypatch.setattr(health, "compare", lambda *_, **__: ([LOST], []))
        if who == "the next run":
            journal.remember(picture={"engine": "", "containers": {}})
    done = roll_back(host, journal, who)

    kept = later != "nothing"
    whole = "changed" if who == "on request" else "rolled_back"
    assert done["outcome"] == ("partly_rolled_back" if kept else whole)
    assert host.store.record(journal.run)["outcome"] == ("partly_rolled_back" if kept else "rolled_back")
    assert [note for note in done["notes"] if LOST in note] == (
        [f"everything is restored, but: {LOST}"] if missing and who != "at boot" else []
    )
    assert (len(done["kept"]), [note for note in done["notes"] if note in done["kept"]]) == (
        int(kept),
        done["kept"],
    )
    assert loaded.undone() == 1
    assert Journal.find(host.store) is None
    if later in ("nothing", "its mode"):
        assert host.read("x") == "old"
    record = host.store.record(journal.run)
    not_back = [LOST] if missing and who != "at boot" else []
    assert record["missing"] == not_back
    said = CONVERGE._summary({**done, **record})
    assert (EVERYTHING in said) is not (kept or bool(not_back))
    assert (LOST in said) is (bool(not_back) and not kept)
    if kept:
        assert all(each in said for each in done["kept"])
    # It is not rolled back twice.
    assert journal.run not in history.back_to(host.store, before="", who="", check=True)["runs"]


@pytest.mark.parametrize(("file", "activation"), [(True, False), (False, True), (True, True)])
def test_a_failed_rollback_is_retried_for_the_remaining_part_only(
    host: Host,
    loaded: type[Loaded],
    monkeypatch: pytest.MonkeyPatch,
    *,
    file: bool,
    activation: bool,
) -> None:
    journal = changed(host, monkeypatch)
    stored = Path(host.store.backup_folder(journal.run)) / "files" / "0"
    if file:
        stored.rename(stored.with_name("away"))
    monkeypatch.setattr(loaded, "stuck", activation)
    monkeypatch.setattr(Other, "stuck", False, raising=False)
    for _ in range(3):
        done = rollback.finished(host.store, journal, "no ssh")
        assert done["outcome"] == "rollback_failed"
        problems = [f"{host.path('x')}: No such file or directory"] * file
        problems += ["it cannot be unloaded"] * activation
        assert done["problems"] == host.store.record(journal.run)["problems"] == problems
        assert any("guard.pyz abandon" in note for note in done["notes"])
        assert EVERYTHING not in CONVERGE._summary(done)
    assert (loaded.undone(), Other.undone()) == (0 if activation else 1, 1)

    if file:
        stored.with_name("away").rename(stored)
    monkeypatch.setattr(loaded, "stuck", False)
    assert rollback.finished(host.store, journal, "no ssh")["outcome"] == "rolled_back"
    # An activation that was undone on the wrong file is undone again once that is back.
    assert (loaded.undone(), Other.undone()) == (1 if activation else 2, 2 if file else 1)
    assert host.read("x") == "old"
    assert [path.name for path in host.folder.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_manifest_fails_the_rollback_with_a_reason(
    host: Host, loaded: type[Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = changed(host, monkeypatch)
    manifest = Path(host.store.backup_folder(journal.run)) / "manifest.json"
    text = manifest.read_text()
    manifest.write_text("")
    done = rollback.finished(host.store, journal, "no ssh")
    assert (done["outcome"], "manifest.json cannot be read" in done["problems"][0]) == (
        "rollback_failed",
        True,
    )
    manifest.write_text(text)
    assert rollback.finished(host.store, journal, "no ssh")["outcome"] == "rolled_back"


@pytest.mark.parametrize("moment", ["the record is written", "the room is given back", "the journal is gone"])
def test_a_rollback_that_is_killed_before_its_record_is_repeated(
    host: Host, loaded: type[Loaded], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    journal = changed(host, monkeypatch)
    with monkeypatch.context() as patched:
        if moment == "the record is written":
            patched.setattr(rollback, "end", killed)
        elif moment == "the room is given back":
            patched.setattr(Journal, "end", killed)
        else:
            patched.setattr(guard, "stored", killed)
        with pytest.raises(KilledError):
            rollback.finished(host.store, journal, "no ssh")
    found = Journal.find(host.store)
    assert (found is None) is (moment == "the journal is gone")
    if found is not None:
        assert rollback.finished(host.store, found, found.why_expired)["outcome"] == "rolled_back"
    record = host.store.record(journal.run)
    assert (record["outcome"], record["reason"], host.read("x")) == ("rolled_back", "no ssh", "old")


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_containers_that_an_activation_stopped_are_checked_as_well(
    host: Host, loaded: type[Loaded], monkeypatch: pytest.MonkeyPatch, *, stopped: bool, same: bool
) -> None:
    own, run = ({"engine": "", "containers": {name: {}}} for name in ("old", "old" if same else "new"))
    asked: list[tuple[list[str], bool]] = []

    def recover(baseline: dict[str, Any], *, undone: bool, **_: Any) -> tuple[list[str], list[str]]:
        asked.append((list(baseline["containers"]), undone))
        return [LOST], []

    monkeypatch.setattr(loaded, "baseline", own)
    monkeypatch.setattr(health, "recover", recover)
    journal = changed(host, monkeypatch)
    journal.remember(picture=run, stopped=stopped)
    done = rollback.finished(host.store, journal, "no ssh")
    assert (done["outcome"], done["missing"]) == ("rolled_back", [LOST])
    assert asked == [(["old"], stopped), *([] if same else [(["new"], stopped)])]


# --- a host that has only what its engine makes -------------------------------------------------------------


class Engine(Activation):
    """Writes its configuration for a moment whenever it changes, as the engine's own activation does."""

    name = "systemd-reload"
    stuck = False

    def perform(self) -> None:
        self.memory["file"] = self.settings["when"][0]
        self.save()
        with TemporaryKeys(self.memory["file"], self.will_write) as temporary:
            temporary.write({"live-restore": True})

    def undo(self) -> list[str]:
        if self.stuck:
            raise Failed("the engine hangs")
        self.perform()
        return []


def on_request(host: Host, journal: Journal) -> None:
    history.back_to(host.store, before="", who="", check=False)


def by_the_timer(host: Host, journal: Journal) -> None:
    journal.enter(journal.phase, seconds=-1)
    assert guard_main._roll_back_locked(host.store, journal.run) == []


def at_boot(host: Host, journal: Journal) -> None:
    guard_main._boot(host.store, journal.run)


def by_the_next_run(host: Host, journal: Journal) -> None:
    roll_back(host, journal, "the next run")
    on_request(host, journal)  # what that run has changed itself


def by_a_release(host: Host, journal: Journal) -> None:
    rollback.end(host.store, journal)
    Release(host.store, role="", check=False, allow="reboot").run()


def after_abandon(host: Host, journal: Journal) -> None:
    Engine.stuck = True
    assert rollback.finished(host.store, journal, "no ssh")["problems"] == ["the engine hangs"]
    guard_main._end_locked(host.store, journal.run)
    Engine.stuck = False
    on_request(host, journal)


def killed_twice(host: Host, journal: Journal) -> None:
    """Kill a rollback, and its repetition, while the file has temporary keys."""

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(TemporaryKeys, "__exit__", lambda *_: None)
            patched.setattr(Journal, "note_undone", killed)
            with pytest.raises(KilledError):
                rollback.finished(host.store, journal, "no ssh")
        assert Path(host.path("etc/docker/daemon.json")).exists()
    by_the_timer(host, journal)


def after_attempts_of_0_2_0(host: Host, journal: Journal) -> None:
    """Have a version that makes no folder try twice, which leaves the journal."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "make_folders", lambda _: None)
        if not Path(host.path("etc/docker/key.json")).exists():  # else it had no problem
            for _ in range(2):
                done = rollback.finished(host.store, journal, "no ssh")
                said = [f"{host.path('etc/docker/daemon.json')}: No such file or directory"]
                assert (done["outcome"], done["problems"]) == ("rollback_failed", said)
    found = Journal.find(host.store)
    assert found is not None
    by_the_next_run(host, found)


KINDS_OF_ROLLBACK = (
    after_attempts_of_0_2_0,
    on_request,
    by_the_timer,
    at_boot,
    by_the_next_run,
    by_a_release,
    after_abandon,
    killed_twice,
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    monkeypatch.setattr(activations, "KINDS", {Engine.name: Engine})
    monkeypatch.setattr(Engine, "stuck", False)
    return Engine


def configured(host: Host, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A run that has made the folder of its file, and waits to be confirmed."""
    document = {
        "name": "a",
        "impact": "daemon-restart",
        "resources": [host.json("etc/docker/daemon.json", {"icc": False})],
        "activations": [{"name": Engine.name, "when": [host.path("etc/docker/daemon.json")]}],
    }
    request = documents.parse({"documents": [document], "allow": "reboot"}, tuple(activations.KINDS))
    with monkeypatch.context() as patched:
        patched.setattr(guard, "possible", lambda: True)
        patched.setattr(guard, "arm", lambda *_, **__: None)
        Transaction(request, host.store, Terms(TOKEN, 180, "me@here")).run()
    journal = Journal.find(host.store)
    assert journal is not None
    return journal


# What is left of the folder when the rollback begins; "gone" is what each attempt of 0.2.0 has left.
FOLDERS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "as the run left it": (let_alone, []),
    "gone": (shutil.rmtree, []),
    "with another file": (lambda etc: (etc / "docker/key.json").touch(), ["etc", "etc/docker/key.json"]),
}


@pytest.mark.parametrize("left", FOLDERS)
@pytest.mark.parametrize("kind", KINDS_OF_ROLLBACK)
def test_a_rollback_completes_where_the_run_has_made_the_folder(
    host: Host,
    engine: type[Engine],
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[Host, Journal], None],
    left: str,
) -> None:
    journal = configured(host, monkeypatch)
    change, kept = FOLDERS[left]
    change(host.folder / "etc")
    kind(host, journal)
    assert Journal.find(host.store) is None
    outcome = host.store.record(journal.run).get("outcome")
    assert outcome == (None if kind is by_a_release else "rolled_back")
    found = [path for path in host.folder.rglob("etc*") if "hardener" not in path.parts]
    found += [path for path in (host.folder / "etc").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(host.folder)) for path in found) == kept


@pytest.mark.parametrize("fails", ["perform", "problems"])
def test_a_failed_run_is_rolled_back_where_it_has_made_the_folder(
    host: Host, engine: type[Engine], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(health, "compare", lambda *_, **__: ([LOST], []) if fails == "problems" else ([], []))
    if fails == "perform":
        monkeypatch.setattr(engine, "problems", lambda _: ["the engine has other values"])
    done = host.converge(
        host.json("etc/docker/daemon.json", {"icc": False}),
        activations=[{"name": Engine.name, "when": [host.path("etc/docker/daemon.json")]}],
    )
    assert (done["outcome"], (host.folder / "etc").exists()) == ("rolled_back", False)
