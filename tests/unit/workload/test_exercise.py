"""Commands find the twin by their environment, and end with everything they have started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardener.workload import exercise
from tests.unit.processes import GROWING, ended


def test_a_command_gets_the_addresses_of_ports_in_its_environment(tmp_path: Path) -> None:
    found = exercise.command(f'echo "$HARDENER_ADDR_80 $HARDENER_ADDR_53_udp" >{tmp_path}/out', most=10)(
        {"80": "127.0.0.1:1", "53_udp": "127.0.0.1:2"}
    )
    assert found.problem == ""
    assert (tmp_path / "out").read_text() == "127.0.0.1:1 127.0.0.1:2\n"


def test_the_output_of_an_exercise_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    exercise.command("echo said", most=10)({})
    out, err = capfd.readouterr()
    assert (out, err) == ("", "said\n")


def test_a_failed_command_is_a_problem() -> None:
    assert exercise.command("exit 3", most=10)({}).problem == "the command ended with code 3"


def test_a_command_that_cannot_be_started_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    script = tmp_path / "test.sh"
    assert exercise.command(str(script), most=10)({}).problem.endswith("code 127: a program was not found")
    script.touch(mode=0o600)
    assert exercise.command(str(script), most=10)({}).problem.endswith("is not executable (chmod +x)")


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    text = f"sleep 1000 & echo $! >{tmp_path}/pid; wait"
    for most in GROWING:
        found = exercise.command(text, most=most)({})
        assert found.problem == f"the command did not end within {most:g} s"
        if (written := tmp_path / "pid").exists() and written.read_text():
            break
    assert ended(int(written.read_text()))


def test_an_exercise_without_a_command_waits_for_the_given_time() -> None:
    begun: list[str] = []
    assert exercise.pause(0.05, begin=lambda: begun.append("now"))({}).seconds == 0.05
    assert begun == ["now"]
    assert exercise.nothing({}).seconds == 0
    assert os.environ.get("HARDENER_ADDR_80") is None
