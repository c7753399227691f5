from __future__ import annotations

from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.schedule import Systemd, Times
from hardener.schedule.units import MARK
from tests.unit.schedule.jobs import job
from tests.unit.schedule.manager import Manager

DAILY = Times(calendar="daily", jitter="1h")
UNIT = "hardener-schedule-drift"


def test_install_writes_starts_and_says_nothing_the_second_time(manager: Manager) -> None:
    systemd = Systemd.here()
    assert systemd.install(job(), DAILY)
    assert manager.asked() == ["daemon-reload", f"enable {UNIT}.timer", f"restart {UNIT}.timer"]
    assert sorted(path.name for path in manager.units.iterdir()) == [f"{UNIT}.service", f"{UNIT}.timer"]
    assert {path.stat().st_mode & 0o777 for path in manager.units.iterdir()} == {0o644}
    assert not systemd.install(job(), DAILY)
    assert manager.asked() == []


def test_another_time_is_taken_up(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    manager.asked()
    assert systemd.install(job(), Times(calendar="hourly", jitter="1h"))
    assert manager.asked() == ["daemon-reload", f"enable {UNIT}.timer", f"restart {UNIT}.timer"]
    assert "OnCalendar=hourly\n" in (manager.units / f"{UNIT}.timer").read_text()


def test_a_timer_that_somebody_has_stopped_is_started(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    (manager.folder / "enabled").unlink()
    assert systemd.install(job(), DAILY)


@pytest.mark.parametrize(
    "times", [Times(calendar="dayly", jitter="1h"), Times(calendar="daily", jitter="1 fortnite")]
)
def test_what_systemd_does_not_know_as_a_time_is_not_written(manager: Manager, times: Times) -> None:
    with pytest.raises(HardenerError, match="is not a time"):
        Systemd.here().install(job(), times)
    assert list(manager.units.iterdir()) == []


@pytest.mark.parametrize("kind", ["service", "timer"])
@pytest.mark.parametrize("how", ["text", "link"])
def test_units_of_others_are_left_alone(manager: Manager, tmp_path: Path, kind: str, how: str) -> None:
    path = manager.units / f"{UNIT}.{kind}"
    if how == "link":
        (tmp_path / "linked").write_text(MARK)
        path.symlink_to(tmp_path / "linked")
    else:
        path.write_text("[Unit]\n")
    before = path.read_text()
    systemd = Systemd.here()
    with pytest.raises(HardenerError, match="was not written by hardener"):
        systemd.install(job(), DAILY)
    with pytest.raises(HardenerError, match="was not written by hardener"):
        systemd.remove("drift")
    assert (path.read_text(), manager.asked()) == (before, [])
    assert list(manager.units.iterdir()) == [path]
    assert list(systemd.status()) == []


def test_remove_leaves_nothing_and_says_whether_there_was_something(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    systemd.install(job("repair"), DAILY)
    manager.asked()
    assert systemd.remove("drift")
    assert manager.asked() == [
        f"disable --now {UNIT}.timer",
        f"clean --what=state {UNIT}.timer",
        "daemon-reload",
        f"reset-failed {UNIT}.timer {UNIT}.service",
    ]
    assert {path.stem for path in manager.units.iterdir()} == {"hardener-schedule-repair"}
    assert not systemd.remove("drift")
    with pytest.raises(HardenerError, match="is not a name"):
        systemd.remove("../x")


def test_half_of_a_schedule_is_removed_too(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    (manager.units / f"{UNIT}.timer").unlink()
    assert systemd.remove("drift")
    assert list(manager.units.iterdir()) == []


def test_status_says_when_and_how(manager: Manager) -> None:
    systemd = Systemd.here()
    assert list(systemd.status()) == []
    systemd.install(job(), DAILY)
    (fresh,) = systemd.status()
    assert (fresh.name, fresh.active, fresh.running) == ("drift", True, False)
    assert (fresh.next, fresh.last, fresh.ended) == ("Thu 2026-11-26 00:12:41 UTC", "", "")
    manager.ran(
        ActiveState="failed",
        Result="exit-code",
        ExecMainStatus="6",
        ExecMainExitTimestamp="Wed 2026-11-25 00:07:02 UTC",
    )
    (failed,) = systemd.status()
    assert (failed.result, failed.code, failed.ended) == ("exit-code", 6, "Wed 2026-11-25 00:07:02 UTC")


@pytest.mark.parametrize(("says", "lingers"), [("yes", True), ("no", False), ("", False)])
def test_whether_a_user_lingers(manager: Manager, says: str, lingers: bool) -> None:
    program = manager.folder / "bin" / "loginctl"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    assert Systemd.here().lingers() is lingers


def test_what_systemd_refuses_is_one_line(manager: Manager) -> None:
    (manager.folder / "refuses").touch()
    with pytest.raises(HardenerError, match=r"^systemctl enable failed: no bus$"):
        Systemd.here().install(job(), DAILY)


def test_without_systemd_there_is_cron(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hardener.schedule.systemd.RUNNING", tmp_path / "none")
    with pytest.raises(HardenerError, match=r"systemd does not run here .*schedule cron"):
        Systemd.here()


def test_a_user_has_a_manager_of_ones_own(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    assert manager.asked()[0] == "--user --no-pager daemon-reload"
    units = tmp_path / "config" / "systemd" / "user"
    assert "User=" not in (units / f"{UNIT}.service").read_text()
    assert list(manager.units.iterdir()) == []
