from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hardener.schedule import Systemd
from tests.unit.cli.histories import Hardener
from tests.unit.schedule.manager import Manager, manager

__all__ = ["manager"]

UNIT = "hardener-schedule-drift"


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """How the hosts of every inventory are reached."""
    found = {"db01": "ssh"}
    monkeypatch.setattr("hardener.fleet.connections", lambda inventory, **_: found)
    return found


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests run below /tmp, which a confined service does not see."""
    monkeypatch.setattr("hardener.schedule.units._PRIVATE", ())
    monkeypatch.chdir(tmp_path)


def unit(manager: Manager, kind: str = "service") -> str:
    return (manager.units / f"{UNIT}.{kind}").read_text()


def test_a_schedule_is_installed_shown_and_removed(
    hardener: Hardener, manager: Manager, home: Path, tmp_path: Path
) -> None:
    arguments = ("drift", "-i", "db01,", "--remediate", "--report", "html=report.html", "--snapshots", "kept")
    result = hardener("schedule", "install", "--on-calendar", "Sun 03:00", "--jitter", "5min", *arguments)
    assert (result.exit_code, result.stderr) == (0, "drift: installed\n")
    words = " ".join(f'"{word}"' for word in (sys.executable, "-P", "-m", "hardener", *arguments))
    assert f"ExecStart={words}\n" in unit(manager)
    assert f"WorkingDirectory={tmp_path}\n" in unit(manager)
    for folder in (home, tmp_path, tmp_path / "kept"):
        assert f'ReadWritePaths="{folder}"\n' in unit(manager)
        assert folder.is_dir()
    assert "OnCalendar=Sun 03:00\nRandomizedDelaySec=5min\n" in unit(manager, "timer")
    result = hardener("schedule", "install", "--on-calendar", "Sun 03:00", "--jitter", "5min", *arguments)
    assert result.stderr == "drift: already installed\n"

    shown = "drift\n  next    Thu 2026-11-26 00:12:41 UTC\n  last    not yet\n  result  "
    assert hardener("schedule", "status").stdout == f"{shown}none since this machine started\n"
    assert hardener("schedule", "remove").stderr == "drift: removed\n"
    assert list(manager.units.iterdir()) == []
    assert hardener("schedule", "remove").stderr == "drift: no such schedule\n"
    result = hardener("schedule", "status")
    assert (result.exit_code, result.stderr) == (0, "no schedule is installed\n")


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        ({"Result": "success", "ExecMainStatus": "0"}, "0 (compliant), then"),
        ({"Result": "success", "ExecMainStatus": "7"}, "7 (repaired), then"),
        ({"Result": "exit-code", "ExecMainStatus": "6"}, "6 (drifted), then"),
        ({"Result": "exit-code", "ExecMainStatus": "200"}, "200 (unknown), then"),
        ({"Result": "timeout", "ExecMainStatus": "15"}, "timeout, then"),
        ({"ActiveState": "activating", "Result": "success", "ExecMainStatus": "0"}, "is running"),
    ],
)
def test_status_shows_the_result_of_the_last_run(
    hardener: Hardener, manager: Manager, home: Path, properties: dict[str, str], shown: str
) -> None:
    hardener("schedule", "install", "drift", "-i", "db01,")
    manager.ran(**{"ActiveState": "inactive", "ExecMainExitTimestamp": "then", **properties})
    assert f"  result  {shown}\n" in hardener("schedule", "status").stdout


def test_a_service_that_audits_this_machine_is_not_confined(
    hardener: Hardener, manager: Manager, home: Path, reached: dict[str, str]
) -> None:
    reached["ctl"] = "local"
    result = hardener("schedule", "install", "audit", "-i", "db01,ctl")
    assert "the service runs without a sandbox, because not every host is reached by ssh" in result.stderr
    assert "ProtectSystem" not in unit(manager)


@pytest.mark.parametrize("lingers", [True, False])
def test_a_user_without_lingering_is_warned(
    hardener: Hardener, manager: Manager, home: Path, monkeypatch: pytest.MonkeyPatch, *, lingers: bool
) -> None:
    monkeypatch.setattr(Systemd, "here", lambda: Systemd(manager.units, user=True))
    monkeypatch.setattr(Systemd, "lingers", lambda _: lingers)
    result = hardener("schedule", "install", "drift", "-i", "db01,")
    assert result.exit_code == 0
    assert ("the schedule runs only while you are logged in" in result.stderr) is not lingers


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("harden", "-i", "db01,"), "'harden' cannot be scheduled; drift and audit can"),
        (("drift", "-i", "db01,", "-K"), "--ask-become-pass needs a terminal, and a schedule has none"),
        (("drift", "-i", "db01,", "-J"), "--ask-vault-pass needs a terminal, and a schedule has none"),
        (("drift",), "Missing option '-i' / '--inventory'"),
        (("drift", "-i", "db01,", "--nonsense"), "No such option"),
        (
            ("drift", "-i", "db01,", "--notify-url", "https://h/geheim"),
            "all users of this machine could read",
        ),
        (("drift", "-i", "db01,", "--report", "html=none/report.html"), "there is no folder"),
        (("drift", "-i", "a\nb,"), "cannot be written into"),
    ],
)
@pytest.mark.parametrize("verb", ["install", "cron"])
def test_a_command_that_cannot_run_unattended_is_refused(
    hardener: Hardener, manager: Manager, home: Path, verb: str, arguments: tuple[str, ...], *, why: str
) -> None:
    result = hardener("schedule", verb, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
    assert "geheim" not in result.stderr
    assert list(manager.units.iterdir()) == []


def test_the_url_of_a_webhook_comes_from_the_environment(
    hardener: Hardener, manager: Manager, home: Path
) -> None:
    given = {"HARDENER_NOTIFY_URL": "https://hooks.example/geheim"}
    assert hardener("schedule", "install", "drift", "-i", "db01,", env=given).exit_code == 0
    assert f"EnvironmentFile=-{home}/environment\n" in unit(manager)
    assert "geheim" not in unit(manager)


def test_a_crontab_line_is_printed(
    hardener: Hardener, home: Path, tmp_path: Path, reached: dict[str, str]
) -> None:
    result = hardener("schedule", "cron", "--at", "@daily", "--name", "night", "drift", "-i", "db01,")
    assert result.exit_code == 0
    assert result.stdout == (
        f"@daily mkdir -p -m 700 {home} && cd {tmp_path} && HARDENER_HOME={home}"
        f" flock -n {home}/cron-night.lock {sys.executable} -P -m hardener drift -i db01,\n"
    )
    assert not home.exists()


def test_without_systemd_the_error_names_cron(
    hardener: Hardener, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hardener.schedule.systemd.RUNNING", tmp_path / "none")
    commands: list[Callable[[], int]] = [
        lambda: hardener("schedule", "install", "drift", "-i", "db01,").exit_code,
        lambda: hardener("schedule", "status").exit_code,
        lambda: hardener("schedule", "remove").exit_code,
    ]
    assert [command() for command in commands] == [2, 2, 2]
    assert "`hardener schedule cron` prints a line" in hardener("schedule", "status").stderr
