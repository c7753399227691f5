from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.notify import Command
from hardener.notify.message import NotDelivered
from tests.hanging import must_end
from tests.unit.processes import ended

MESSAGE = b'{"host": "$(touch owned); \\u001b[31m"}'


def python(source: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-c", source, *arguments])


def test_the_command_gets_the_message_and_its_arguments_unchanged(tmp_path: Path) -> None:
    out = tmp_path / "out put"
    words = ["$(id)", "a;b", "*", ""]
    source = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]) + sys.stdin.read())"
    Command(python(source, str(out), *words)).send(MESSAGE)
    assert out.read_text() == repr(words) + MESSAGE.decode()


def test_output_of_the_command_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    Command(python("import sys; print('out'); print('err', file=sys.stderr)")).send(MESSAGE)
    assert capfd.readouterr() == ("", "")


def test_a_command_that_does_not_read_the_message_succeeds() -> None:
    Command("true").send(b"x" * 5_000_000)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/nowhere/notify", "No such file or directory"),
        ("/etc/passwd", "Permission denied"),
        (python("import sys; sys.exit('first\\nno\\troute')"), "exit code 1: no route"),
        (python("import sys; sys.stderr.write('x' * 10**7); sys.exit(3)"), "exit code 3: xxx"),
        (python("import os; os.kill(os.getpid(), 9)"), "signal 9 ended the command"),
    ],
)
def test_a_failed_command_is_reported_with_its_reason(command: str, why: str) -> None:
    with pytest.raises(NotDelivered) as caught:
        Command(command).send(MESSAGE)
    assert str(caught.value).startswith(why)
    assert len(str(caught.value)) < 400


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '3600']);"
        " open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(3600)"
    )
    command = Command(python(source, str(pid)), timeout=1)
    with must_end(), pytest.raises(NotDelivered, match="the command did not finish within 1 s"):
        command.send(MESSAGE)
    if pid.exists():  # a busy machine may not have come that far
        assert ended(int(pid.read_text()))


def test_background_processes_do_not_delay_the_notification(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = (
        "import subprocess, sys; open(sys.argv[1], 'w').write(str(subprocess.Popen(['sleep', '600']).pid))"
    )
    try:
        with must_end():
            Command(python(source, str(pid)), timeout=3600).send(MESSAGE)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)  # an error if it had ended


def test_a_command_is_named_by_its_program_alone() -> None:
    assert Command("notify --token geheim").name == "notify"


@pytest.mark.parametrize("text", ["", "  ", "'open", "a\0b"])
def test_an_invalid_command_line_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="notification command"):
        Command(text)
