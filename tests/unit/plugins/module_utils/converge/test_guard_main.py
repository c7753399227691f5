"""The guard goes on until a run is rolled back, or root on the host ends it."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    confirm,
    guard,
    guard_main,
    health,
    history,
    rollback,
    worker,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import ROLLING_BACK, Journal

from tests.unit.plugins.module_utils.converge.guarded import TOKEN, Systemd, change, let_time_pass
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.sleeping import replace_monotonic, replace_sleep

pytestmark = pytest.mark.usefixtures("missing")

Act = Callable[[list[str]], None]


class Clock:
    """Goes on when the guard sleeps, and calls what a test wants to happen then."""

    def __init__(self) -> None:
        self.now = 1e6
        self.happens: list[tuple[float, Callable[[], object]]] = []

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        self.happens.append((self.now + seconds, what))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for each in [each for each in self.happens if each[0] <= self.now]:
            self.happens.remove(each)
            each[1]()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    replace_monotonic(monkeypatch, lambda: found.now)
    replace_sleep(monkeypatch, found.sleep)
    return found


def overdue(host: Host) -> str:
    """A run that has changed x, and whose time is over."""
    host.write("x", "old")
    run = str(change(host)["run"])
    let_time_pass(host)
    return run


def lose(host: Host, run: str) -> Callable[[], object]:
    """Make it impossible to put x back; returns what makes it possible again."""
    stored = Path(host.store.backup_folder(run)) / "files" / "0"
    stored.rename(stored.with_name("lost"))
    return lambda: stored.with_name("lost").rename(stored)


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Act:
    """Run what systemd would, in this process: what it tells systemd is to be seen."""

    def here(command: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", command[2:])
        guard_main.main()

    return here


@pytest.mark.parametrize("hours", [0.001, 0.1, 3, 30])
def test_the_guard_retries_until_the_rollback_succeeds(
    host: Host, systemd: Systemd, clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    run = overdue(host)
    clock.after(hours * 3600, lose(host, run))
    tries: list[float] = []
    finished = rollback.finished

    def counted(*args: object, **named: object) -> dict[str, object]:
        tries.append(clock.now)
        return finished(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(rollback, "finished", counted)
    guard_main._expired(host.store, run)
    assert (host.read("x"), host.store.record(run)["outcome"]) == ("old", "rolled_back")
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[0] == 20
    assert all(pause in (once, min(2 * once, 900)) for once, pause in itertools.pairwise(pauses))
    assert len(tries) < 10 + 4 * hours
    assert Journal.find(host.store) is None
    assert list(systemd.units.iterdir()) == []


@pytest.mark.usefixtures("systemd", "clock")
@pytest.mark.parametrize("defect", [OSError(errno.EIO, "I/O error"), KeyError("x"), MemoryError()])
@pytest.mark.parametrize("where", ["find", "finished"])
def test_the_guard_continues_its_attempts_after_any_error(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    defect: Exception,
) -> None:
    run = overdue(host)
    left = 3
    owner = Journal if where == "find" else rollback
    original = getattr(owner, where)

    def failing(*args: object, **named: object) -> object:
        nonlocal left
        left -= 1
        if left >= 0:
            raise defect
        return original(*args, **named)

    monkeypatch.setattr(owner, where, failing)
    guard_main._expired(host.store, run)
    assert (host.read("x"), host.store.record(run)["outcome"]) == ("old", "rolled_back")


def test_a_change_of_an_administrator_after_the_run_ends_the_attempts_to_roll_back(
    host: Host, systemd: Systemd, clock: Clock
) -> None:
    run = overdue(host)
    lose(host, run)
    clock.after(1000, lambda: host.write("x", "by hand"))
    guard_main._expired(host.store, run)
    record = host.store.record(run)
    assert (host.read("x"), record["outcome"]) == ("by hand", "partly_rolled_back")
    assert record["kept"] == [f"{host.path('x')} was changed by others meanwhile, and stays as it is"]


def test_the_guard_exits_soon_after_another_process_has_ended_the_run(
    host: Host, systemd: Systemd, clock: Clock
) -> None:
    run = overdue(host)
    lose(host, run)

    def ended() -> None:
        journal = Journal.find(host.store)
        assert journal is not None
        rollback.end(host.store, journal)

    clock.after(5000, ended)
    begun = clock.now
    guard_main._expired(host.store, run)
    assert clock.now - begun < 5000 + 10


def test_the_system_journal_shows_the_reason_and_how_to_end_the_attempts(
    host: Host, systemd: Systemd, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    run = overdue(host)
    capfd.readouterr()  # the steps of its transaction
    clock.after(70, lose(host, run))
    guard_main._expired(host.store, run)
    first, second, third = capfd.readouterr().err.splitlines()
    assert first.startswith(
        f"run {run} cannot be rolled back yet, next try in 20 s: {host.path('x')}: No such"
    )
    assert first.endswith(f"to leave the host as it is: {guard.abandoning(host.store.backup_folder(run))}")
    assert ("next try in 40 s" in second, "next try in 80 s" in third) == (True, True)


# --- over a boot --------------------------------------------------------------------------------------------


def test_a_rollback_that_fails_at_boot_keeps_the_guard_armed_and_is_retried(
    host: Host, systemd: Systemd, act: Act
) -> None:
    run = overdue(host)
    found = lose(host, run)
    unit = systemd.units / "hardener-guard.service"
    for _ in range(2):  # and so does another boot
        act(systemd.at_boot())
        act(systemd.after_boot())
        assert (unit.exists(), (systemd.units / "sysinit.target.wants" / unit.name).is_symlink()) == (
            True,
            True,
        )
        said = [words for words in systemd.said if words[0] == "systemd-run"][-1]
        assert {"--on-active=20", "--timer-property=DefaultDependencies=no"} <= set(said)
        assert {"--property=Restart=on-failure", "--property=RestartSec=20"} <= set(said)
        record = host.store.record(run)
        assert (record["outcome"], host.read("x")) == ("rollback_failed", "new")
    found()
    act(systemd.timer())
    assert (host.read("x"), host.store.record(run)["outcome"]) == ("old", "rolled_back")
    assert list(systemd.units.iterdir()) == []
    assert Journal.find(host.store) is None


def test_a_guard_whose_program_is_removed_by_a_confirmation_is_not_restarted(
    host: Host, systemd: Systemd
) -> None:
    overdue(host)
    (armed,) = [words for words in systemd.said if words[0] == "systemd-run"]
    command = systemd.timer()
    Path(command[2]).unlink()
    ended = subprocess.run(command, capture_output=True, check=False)
    assert f"--property=RestartPreventExitStatus={ended.returncode}" in armed


# Python has read the list of the program's modules, and none of them yet.
STARTING = """
import pkgutil, sys
program = sys.argv[0] = sys.argv[1]
pkgutil.get_importer(program)
sys.path.insert(0, program)
main = pkgutil.get_importer(program).get_source("__main__")
{meanwhile}
exec(main, {{"__name__": "__main__"}})
"""


@pytest.mark.parametrize(
    ("meanwhile", "code"),
    [("import os; os.remove(program)", 2), ("sys.path.remove(program)", 1)],
    ids=["removed", "cannot be read"],
)
def test_only_a_guard_whose_program_is_removed_while_it_starts_is_not_restarted(
    host: Host, systemd: Systemd, meanwhile: str, code: int
) -> None:
    overdue(host)
    program = [sys.executable, "-IBSc", STARTING.format(meanwhile=meanwhile), systemd.timer()[2]]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, code == 1), ended.stderr


def test_a_complete_rollback_at_boot_starts_no_retry(host: Host, systemd: Systemd, act: Act) -> None:
    overdue(host)
    after_boot = systemd.after_boot()
    act(systemd.at_boot())
    assert (host.read("x"), Path(after_boot[2]).exists()) == ("old", False)
    act(after_boot)
    assert not [words for words in systemd.said if "--on-active=20" in words]


def test_the_rollback_of_a_run_that_has_ended_during_boot_is_not_retried(
    host: Host, systemd: Systemd, act: Act
) -> None:
    run = overdue(host)
    after_boot = systemd.after_boot()
    journal = Journal.find(host.store)
    assert journal is not None
    kept = Path(after_boot[2]).read_bytes()
    rollback.end(host.store, journal)
    Path(after_boot[2]).write_bytes(kept)
    before = len(systemd.said)
    act(after_boot)
    assert len(systemd.said) == before
    assert host.store.record(run)["outcome"] == "unconfirmed"


# --- where it was not armed ---------------------------------------------------------------------------------


def test_a_failed_rollback_arms_a_guard_for_a_run_without_one(host: Host, systemd: Systemd, act: Act) -> None:
    host.write("x", "old")
    done = change(host, impact="none")
    assert done["outcome"] == "changed"
    journal = Journal.of(host.store, done["run"])
    assert journal is not None
    assert "systemd-run" not in {words[0] for words in systemd.said}
    journal.enter(ROLLING_BACK, seconds=60)
    found = lose(host, done["run"])
    systemd.refuses_words = ("systemctl", "start")  # there is no such unit yet
    outcome = rollback.finished(host.store, journal, "rolled back")
    assert "the host itself retries the rollback" in outcome["notes"][-1]
    assert systemd.at_boot()[-1] == done["run"]
    found()
    act(systemd.timer())
    assert (host.read("x"), host.store.record(done["run"])["outcome"]) == ("old", "rolled_back")
    assert list(systemd.units.iterdir()) == []


def test_a_failed_rollback_starts_the_waiting_guard_at_once(
    host: Host, systemd: Systemd, missing: dict[str, list[str]]
) -> None:
    host.write("x", "old")
    run = change(host)["run"]
    lose(host, run)
    journal = Journal.find(host.store)
    assert journal is not None
    rollback.finished(host.store, journal, "a container is lost")
    assert systemd.said[-1] == ["systemctl", "start", "--no-block", "--", f"hardener-guard-{run}.service"]


def test_without_systemd_the_next_run_retries_a_failed_rollback_and_root_can_abandon_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "possible", lambda: False)
    monkeypatch.setattr(health, "take_baseline", lambda *_, **__: {})
    host.write("x", "old")
    run = change(host)["run"]
    journal = Journal.of(host.store, run)
    assert journal is not None
    journal.enter(ROLLING_BACK, seconds=0)
    lose(host, run)
    (note,) = rollback.finished(host.store, journal, "rolled back")["notes"]
    assert note == (
        "the next run on this host retries the rollback; to leave the host as it is: "
        + guard.abandoning(host.store.backup_folder(run))
    )
    assert guard.stored(host.store.backup_folder(run))


# --- a rollback on request that is killed -------------------------------------------------------------------


class Killed(BaseException):
    """What nothing catches, as the end of a process."""


def cut_off(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a confirmed run rolled back on request, and the process killed before any file is restored."""
    host.write("x", "old")
    run = str(change(host)["run"])
    confirm.confirm(host.store, {"token": TOKEN})

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(worker, "run", lambda work, **_: work())
        patched.setattr(host.store.__class__, "restore", killed)
        with pytest.raises(Killed):
            history.back_to(host.store, before="", who="me@here", check=False)
    assert (host.read("x"), Journal.find(host.store) is None) == ("new", False)
    return run


@pytest.mark.parametrize("by", ["its timer", "a boot"])
def test_the_guard_finishes_a_requested_rollback_that_was_killed(
    host: Host, systemd: Systemd, act: Act, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    run = cut_off(host, monkeypatch)
    assert "--on-active=60" in [words for words in systemd.said if words[0] == "systemd-run"][-1]
    act(systemd.timer() if by == "its timer" else systemd.at_boot())
    assert (host.read("x"), Journal.find(host.store)) == ("old", None)
    record = host.store.record(run)
    assert (record["outcome"], record["reason"]) == ("rolled_back", "rolled back on request of me@here")
    assert list(systemd.units.iterdir()) == []


def test_a_rollback_on_request_works_without_a_guard(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    change(host)
    confirm.confirm(host.store, {"token": TOKEN})
    systemd.refuses = "systemd-run"
    assert history.back_to(host.store, before="", who="", check=False)["outcome"] == "changed"
    assert (host.read("x"), list(systemd.units.iterdir())) == ("old", [])


def failing(host: Host) -> str:
    """A run that cannot be rolled back, since what x held is gone."""
    host.write("x", "old")
    run = str(change(host)["run"])
    let_time_pass(host)
    (Path(host.store.backup_folder(run)) / "files" / "0").unlink()
    journal = Journal.find(host.store)
    assert journal is not None
    assert rollback.finished(host.store, journal, "no ssh")["outcome"] == "rollback_failed"
    return run


def program(host: Host, run: str) -> str:
    return str(Path(host.store.backup_folder(run), "guard.pyz"))


def abandon(host: Host, run: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, program(host, run), "abandon"]
    environment = {"SUDO_USER": "ada", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_abandon_ends_the_run_and_lists_paths_that_were_not_restored(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    command = guard.abandoning(host.store.backup_folder(run))
    assert command == f"{sys.executable} {host.store.backup_folder(run)}/guard.pyz abandon"
    done = abandon(host, run)
    lost = Path(host.store.backup_folder(run), "files", "0")
    remains = f"{host.path('x')}: {lost}: No such file or directory"
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"run {run} will no longer be rolled back, and these parts of it remain:\n  {remains}\n"
    )
    record = host.store.record(run)
    assert (record["outcome"], record["problems"]) == ("abandoned", [remains])
    assert record["reason"] == "no ssh; ended on the host by ada"
    assert Journal.find(host.store) is None
    assert not guard.stored(host.store.backup_folder(run))
    hidden = [path for path in host.folder.rglob(".*") if path.name.endswith("~")]
    assert (hidden, host.read("x")) == ([], "new")


def test_an_abandoned_run_allows_new_runs_and_can_be_rolled_back_later(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    with pytest.raises(Refused, match=f"run {run} was interrupted and cannot be rolled back.*pyz abandon"):
        host.converge(host.file("y", "another"))
    abandon(host, run)
    assert host.converge(host.file("y", "another"))["outcome"] == "changed"
    (Path(host.store.backup_folder(run)) / "files" / "0").write_text("old")
    assert history.back_to(host.store, before=run, who="", check=False)["outcome"] == "changed"
    assert host.read("x") == "old"


@pytest.mark.parametrize("harm", ["the journal", "the manifest"])
def test_abandon_ends_a_run_with_a_damaged_backup(host: Host, systemd: Systemd, harm: str) -> None:
    run = failing(host)
    manifest = Path(host.store.backup_folder(run)) / "manifest.json"
    damaged = Path(host.store.journal_file) if harm == "the journal" else manifest
    damaged.write_text("{")
    done = abandon(host, run)
    assert done.returncode == 0, done.stderr
    (problem,) = host.store.record(run)["problems"]
    assert f"{damaged} cannot be read" in problem
    assert host.store.record(run)["outcome"] == "abandoned"
    assert not Path(host.store.journal_file).exists()
    assert not guard.stored(host.store.backup_folder(run))


def test_abandon_refuses_a_run_whose_rollback_has_not_failed(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    run = str(change(host)["run"])
    done = abandon(host, run)
    assert done.returncode == 1
    assert f"run {run} cannot be ended: it is unconfirmed for another 1" in done.stderr
    assert (host.read("x"), Journal.find(host.store) is not None) == ("new", True)


def test_abandon_of_an_ended_run_only_removes_the_program_of_its_guard(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    script = Path(program(host, run))
    kept = script.read_bytes()
    journal = Journal.find(host.store)
    assert journal is not None
    rollback.end(host.store, journal)
    script.write_bytes(kept)
    assert (abandon(host, run).returncode, script.exists()) == (0, False)
    assert host.store.record(run)["outcome"] == "rollback_failed"


def test_abandon_removes_the_units_of_the_guard(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    before = len(systemd.said)
    guard_main.abandon(program(host, run))
    names = [f"hardener-guard-{run}.timer", f"hardener-guard-{run}.service"]
    assert ["systemctl", "stop", "--", *names] in systemd.said[before:]
    assert list(systemd.units.iterdir()) == []


def test_abandon_requires_root(host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    run = failing(host)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="only root"):
        guard_main.abandon(program(host, run))
