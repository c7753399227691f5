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


def test_installing_twice_changes_nothing_the_second_time(manager: Manager) -> None:
    systemd = Systemd.here()
    assert systemd.install(job(), DAILY)
    assert manager.asked() == ["daemon-reload", f"enable {UNIT}.timer", f"restart {UNIT}.timer"]
    assert sorted(path.name for path in manager.units.iterdir()) == [f"{UNIT}.service", f"{UNIT}.timer"]
    assert {path.stat().st_mode & 0o777 for path in manager.units.iterdir()} == {0o644}
    assert not systemd.install(job(), DAILY)
    assert manager.asked() == []


def test_a_changed_time_is_applied(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    manager.asked()
    assert systemd.install(job(), Times(calendar="hourly", jitter="1h"))
    assert manager.asked() == ["daemon-reload", f"enable {UNIT}.timer", f"restart {UNIT}.timer"]
    assert "OnCalendar=hourly\n" in (manager.units / f"{UNIT}.timer").read_text()


def test_a_stopped_timer_is_started_again(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    (manager.folder / "enabled").unlink()
    assert systemd.install(job(), DAILY)


@pytest.mark.parametrize(
    "times", [Times(calendar="dayly", jitter="1h"), Times(calendar="daily", jitter="1 fortnite")]
)
def test_an_invalid_time_is_not_written(manager: Manager, times: Times) -> None:
    with pytest.raises(HardenerError, match="is not a time"):
        Systemd.here().install(job(), times)
    assert list(manager.units.iterdir()) == []


@pytest.mark.parametrize("kind", ["service", "timer"])
@pytest.mark.parametrize("how", ["text", "link"])
def test_units_of_other_programs_are_not_changed(
    manager: Manager, tmp_path: Path, kind: str, how: str
) -> None:
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


def test_remove_deletes_all_files_and_reports_whether_any_existed(manager: Manager) -> None:
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


def test_remove_deletes_a_schedule_without_a_timer_file(manager: Manager) -> None:
    systemd = Systemd.here()
    systemd.install(job(), DAILY)
    (manager.units / f"{UNIT}.timer").unlink()
    assert systemd.remove("drift")
    assert list(manager.units.iterdir()) == []


def test_status_reports_the_last_and_next_run(manager: Manager) -> None:
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
def test_lingering_of_a_user_is_detected(manager: Manager, says: str, lingers: bool) -> None:
    program = manager.folder / "bin" / "loginctl"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    assert Systemd.here().lingers() is lingers


def test_an_error_of_systemd_is_reported_in_one_line(manager: Manager) -> None:
    (manager.folder / "refuses").touch()
    with pytest.raises(HardenerError, match=r"^systemctl enable failed: no bus$"):
        Systemd.here().install(job(), DAILY)


def test_without_systemd_the_error_names_cron(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hardener.schedule.systemd.RUNNING", tmp_path / "none")
    with pytest.raises(HardenerError, match=r"systemd does not run on this machine .*schedule cron"):
        Systemd.here()


def test_a_user_schedule_uses_the_user_manager(
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
