"""What systemd itself thinks of the units: its parser, its calendar, its opinion of how confined they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hardener.schedule import Job, Times
from hardener.schedule.units import service, timer

NASTY = ("two words", "100%", "%h", "$HOME", 'a "quoted" word', "it's", "back\\slash\\", ";", "", "ünïcödé")
TIMES = Times(calendar="Mon..Fri 06:30 Europe/Berlin", jitter="1h 30min")


@pytest.fixture
def nasty(tmp_path: Path) -> Job:
    """A job whose every part has what unit files take for something else."""
    folder, programs = tmp_path / 'a "b" it\'s 100% \\c;', tmp_path / "two words %h ;"
    folder.mkdir()
    programs.mkdir()
    program = programs / "python3"
    shutil.copy("/bin/true", program)
    return Job(
        name="drift",
        command=(str(program), "-P", "-m", "hardener", "drift", *NASTY),
        folder=folder,
        home=folder / "home",
        writes=(folder / "%w",),
        confined=False,
    )


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def written(folder: Path, job: Job, *, user: bool = False) -> Path:
    """The units of a job, as files; the service's."""
    (folder / "hardener-schedule-drift.timer").write_text(timer(job, TIMES))
    path = folder / "hardener-schedule-drift.service"
    path.write_text(service(job, user=user))
    return path


@pytest.mark.parametrize("user", [False, True])
def test_systemd_accepts_the_units_of_a_schedule(
    nasty: Job, tmp_path: Path, user: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = written(tmp_path, nasty, user=user)
    done = analyze("verify", *(["--user"] if user else []), path, path.with_suffix(".timer"))
    assert (done.returncode, about(done.stderr)) == (0, [])


def test_systemd_reports_a_badly_quoted_program(nasty: Job, tmp_path: Path) -> None:
    path = written(tmp_path, nasty)
    path.write_text(path.read_text().replace("%%h", "%h"))
    done = analyze("verify", path)
    assert about(done.stderr)


def test_systemd_rates_the_exposure_of_a_confined_service_as_low(tmp_path: Path) -> None:
    confined = Job(
        name="drift",
        command=(sys.executable, "-P", "-m", "hardener", "drift", "-i", "prod.yml"),
        folder=Path("/"),
        home=Path("/root/.local/state/hardener"),
    )
    path = written(tmp_path, confined)
    done = analyze("verify", path)
    assert (done.returncode, about(done.stderr)) == (0, [])

    def exposure(job: Job) -> float:
        done = analyze("security", "--offline=yes", "--no-pager", written(tmp_path, job))
        found = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
        assert found, done.stderr
        return float(found[1])

    assert exposure(confined) < 3.5
    assert exposure(replace(confined, confined=False)) > 8


def about(said: str) -> list[str]:
    """What is said about our units: others that the machine has are not ours to judge."""
    return [line for line in said.splitlines() if "hardener-schedule" in line]
