from __future__ import annotations

import re
import shlex

import pytest

from tools import together


def test_every_line_has_the_command_name_and_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert together.main(["one=echo 1; echo 2 >&2", "three=printf 'no line end'"]) == 0
    lines = sorted(re.sub(r"^ *\d+:\d\d ", "", line) for line in capsys.readouterr().out.splitlines())
    assert lines == ["one   | 1", "one   | 2", "three | no line end"]


def test_a_failure_does_not_end_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert together.main(["bad=exit 3", "good=sleep 0.2; echo done"]) == 1
    shown = capsys.readouterr()
    assert "good | done" in shown.out
    assert shown.err == "bad ended with 3\n"


def test_last_lines_of_a_failed_command_are_repeated_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert together.main(["bad=seq 100; exit 3", "good=sleep 0.2; echo done"]) == 1
    *repeated, last = re.sub(r"(?m)^ *\d+:\d\d ", "", capsys.readouterr().err).splitlines()
    assert repeated == [f"bad  | {number}" for number in range(101 - together.REPEATED_LINES, 101)]
    assert last == "bad ended with 3"


def test_failed_tests_are_named_last(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (
        "[gw0] [ 76%] FAILED tests/a.py::one@a.py ",
        " 1:02 loop | ERROR tests/b.py::two[x] - assert 1 == 2",
        "FAILED tests/a.py::one@a.py - assert",
        "[gw1] [ 77%] PASSED tests/c.py::three",
    )
    assert together.main([f"bad=printf '%s\\n' {shlex.join(lines)}; exit 2", "good=true"]) == 1
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "bad ended with 2",
        "FAILED tests/a.py::one@a.py - assert",
        "FAILED tests/b.py::two[x] - assert 1 == 2",
    ]
