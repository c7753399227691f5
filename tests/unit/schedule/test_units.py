from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.schedule.units import MARK, Times, service, timer
from tests.unit.schedule.jobs import job


def settings(text: str) -> dict[str, list[str]]:
    """Values of a unit file by their key."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_service_runs_the_command_in_its_folder() -> None:
    found = settings(service(job(), user=False))
    assert found["ExecStart"] == ['"/usr/bin/python3" "-P" "-m" "hardener" "drift" "-i" "prod.yml"']
    assert found["WorkingDirectory"] == ["/srv/fleet"]
    assert found["Environment"] == ['"HARDENER_HOME=/root/.local/state/hardener"']
    assert found["EnvironmentFile"] == ["-/root/.local/state/hardener/environment"]
    assert (found["User"], found["SuccessExitStatus"]) == (["root"], ["7"])


def test_roots_service_can_write_only_needed_paths() -> None:
    found = settings(service(job(), user=False))
    assert found["ProtectSystem"] == ["strict"]
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["ReadWritePaths"] == ['"/root/.local/state/hardener"', '"/srv/www"']


def test_a_users_service_is_not_sandboxed() -> None:
    found = settings(service(job(), user=True))
    assert found["NoNewPrivileges"] == ["yes"]
    assert not {"User", "ProtectSystem", "PrivateTmp", "ReadWritePaths", "CapabilityBoundingSet"} & set(found)


def test_a_service_that_audits_this_machine_sees_its_real_files() -> None:
    found = settings(service(job(confined=False), user=False))
    assert not {key for key in found if key.startswith(("Protect", "Private", "Restrict", "NoNew", "Cap"))}


@pytest.mark.parametrize("place", ["folder", "home", "reads", "writes"])
@pytest.mark.parametrize("path", [Path("/tmp/x"), Path("/var/tmp")])
def test_paths_hidden_from_the_service_are_refused(place: str, path: Path) -> None:
    value = (path,) if place in ("reads", "writes") else path
    there = replace(job(), **{place: value})  # type: ignore[arg-type]
    with pytest.raises(HardenerError, match="the service could not access /"):
        service(there, user=False)
    assert str(path) in service(replace(there, confined=False), user=False) or place in ("reads", "writes")


def test_a_command_with_a_line_end_cannot_add_a_setting_to_the_unit() -> None:
    for command in (("/bin/true\nUser=root",), ("/bin/true", "a\nExecStart=/bin/false")):
        with pytest.raises(HardenerError, match="cannot be written into a unit file"):
            service(job(command=command), user=False)


def test_the_timer_runs_missed_jobs() -> None:
    text = timer(job(), Times(calendar="Mon..Fri 06:30 America/New_York", jitter="1h 30min"))
    assert text.startswith(MARK)
    found = settings(text)
    assert found["OnCalendar"] == ["Mon..Fri 06:30 America/New_York"]
    assert (found["RandomizedDelaySec"], found["Persistent"]) == (["1h 30min"], ["yes"])
    assert found["WantedBy"] == ["timers.target"]


@pytest.mark.parametrize("text", ["", "daily\nOnBootSec=1", "%n", "a" * 201, '"daily"', "daily\\"])
def test_an_invalid_or_too_long_time_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="is not a time"):
        Times(calendar=text, jitter="1h")
    with pytest.raises(HardenerError, match="is not a time"):
        Times(calendar="daily", jitter=text)
