from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.schedule import cron_line
from tests.unit.schedule.jobs import by_cron, job


@pytest.mark.parametrize("name", ["", "Drift", "a b", "../drift", "a.b", "-a", "a\n", "a@b", "%n", "a" * 64])
def test_a_name_that_is_invalid_in_a_unit_name_is_refused(name: str) -> None:
    with pytest.raises(HardenerError, match="is not a name of a schedule"):
        job(name)


def test_a_crontab_line_runs_the_command_in_its_folder_and_never_twice_at_once(tmp_path: Path) -> None:
    folder, home = tmp_path / "it's 100%", tmp_path / "ho me" / "hardener"
    folder.mkdir()
    source = "import os, sys; print(os.getcwd(), os.environ['HARDENER_HOME'], *sys.argv[1:])"
    words = ("$(id)", "a;b", "50%")
    text = cron_line(
        replace(job(), command=(sys.executable, "-c", source, *words), folder=folder, home=home), "@daily"
    )
    at, _, command = text.partition(" ")
    assert (at, "\n" in text) == ("@daily", False)
    run = ["sh", "-c", by_cron(command)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder} {home} {' '.join(words)}\n"
    assert home.stat().st_mode & 0o777 == 0o700
    with (home / "cron-drift.lock").open() as lock:
        held = subprocess.run(["flock", "-n", str(lock.fileno())], pass_fds=[lock.fileno()], check=True)
        assert held.returncode == 0
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    "at", ["", "daily", "* * * *", "* * * * * *", "* * * * *\n* * * * *", "@reboot", "% * * * *"]
)
def test_an_invalid_cron_time_is_refused(at: str) -> None:
    with pytest.raises(HardenerError, match="is not a time for cron"):
        cron_line(job(), at)
