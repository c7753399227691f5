"""How every command ends: one line on standard error, and an exit code that is a contract."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from hardener import __version__
from hardener.cli import COMMANDS, main
from hardener.errors import ExitCode, HardenerError, InternalError
from tests.unit.cli.every_command import commands
from tests.unit.snapshots import make

Hardener = Callable[..., Result]
REPORT = "(`hardener -v …` shows where; please report it)"
SEE_AUDIT = "(see `hardener audit --help`)"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make the command ``controls`` end with an exception."""

    def install(error: BaseException) -> None:
        @click.command()
        def controls() -> None:
            raise error

        monkeypatch.setitem(main.commands, "controls", controls)

    return install


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (HardenerError("no such host", hint="name one"), 2, "hardener: error: no such host (name one)"),
        (InternalError("ansible broke"), 1, "hardener: error: ansible broke"),
        (KeyboardInterrupt(), 130, "hardener: error: interrupted"),
        (click.Abort(), 130, "hardener: error: interrupted"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            f"hardener: error: internal error: ZeroDivisionError: by zero {REPORT}",
        ),
        (OSError(28, "No space left on device"), 1, "hardener: error: No space left on device"),
        (PermissionError(13, "Permission denied", "/x"), 1, "hardener: error: /x: Permission denied"),
        (MemoryError(), 1, "hardener: error: there is not enough memory"),
        (HardenerError("two\nlines \x1b[31m"), 2, "hardener: error: two lines \\x1b[31m"),
    ],
)
def test_every_error_is_reported_in_one_line_with_an_exit_code(
    hardener: Hardener,
    failing: Callable[[BaseException], None],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    failing(error)
    result = hardener("controls")
    assert result.exit_code == code
    assert result.stderr.strip() == message
    assert result.stdout == ""


def test_verbose_shows_the_traceback(hardener: Hardener, failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError("by zero"))
    with pytest.raises(ZeroDivisionError):
        hardener("-v", "controls", catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "hardener: error: No such command 'nonsense' (see `hardener --help`)"),
        (("audit",), "hardener: error: Missing option '-i' / '--inventory' (see `hardener audit --help`)"),
        (
            ("audit", "-i", "x,", "--level", "3"),
            f"hardener: error: Invalid value for '--level': 3 is not in the range 1<=x<=2 {SEE_AUDIT}",
        ),
        (("assess",), "hardener: error: Missing argument 'SNAPSHOT...' (see `hardener assess --help`)"),
    ],
)
def test_a_usage_error_is_reported_in_one_line(
    hardener: Hardener, arguments: tuple[str, ...], message: str
) -> None:
    result = hardener(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.strip() == message


GROUPS = [name for name in COMMANDS if isinstance(main.get_command(click.Context(main), name), click.Group)]


@pytest.mark.parametrize("arguments", [[], *([name] for name in GROUPS)], ids=" ".join)
def test_without_a_command_the_help_is_shown(hardener: Hardener, arguments: list[str]) -> None:
    result = hardener(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "Commands:" in result.stderr
    assert not result.stdout


def test_an_option_has_one_form_in_every_command() -> None:
    forms: dict[str, set[str]] = {}
    for _, command in commands():
        for option in command.params:
            for name in option.opts if isinstance(option, click.Option) else ():
                forms.setdefault(name, set()).add(option.metavar or str(option.type))
    several = {name for name, found in forms.items() if len(found) > 1}
    assert several == {"--at", "--out", "--run"}


def test_all_groups_of_commands_are_tested() -> None:
    assert GROUPS == ["evidence", "lab", "report", "runs", "scan", "schedule", "waivers", "workload"]


def test_help_explains_the_exit_codes(hardener: Hardener) -> None:
    result = hardener("-h")
    assert result.exit_code == 0
    for code in ExitCode:
        assert f"\n    {code} " in result.stdout, code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(hardener: Hardener, command: str) -> None:
    result = hardener(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: hardener {command} ")
    assert "\\b" not in result.stdout


def test_version_is_printed(hardener: Hardener) -> None:
    assert hardener("--version").stdout == f"hardener {__version__}\n"


def test_help_does_not_import_heavy_modules() -> None:
    """Start-up time is a feature: what only a command needs is imported when it runs."""
    code = (
        "import sys; import hardener.cli;"
        "print([m for m in ('ansible_runner', 'ansible', 'rich', 'jinja2', 'pydantic', 'junit_xml', 'yaml',"
        " 'hardener.fleet', 'hardener.checks', 'hardener.cli.audit') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("command", ["audit", "plan", "harden", "scan hosts", "rollback"])
def test_ansible_starts_before_slow_imports(command: str, tmp_path: Path) -> None:
    """What a command needs later is imported while Ansible starts, which takes half a second."""
    code = (
        "import os, sys; from hardener.fleet.fleet import Fleet; from hardener.cli import main;"
        "slow = ('rich', 'jinja2', 'pydantic', 'junit_xml', 'hardener.reports.html');"
        "show = lambda: print([each for each in slow if each in sys.modules], flush=True);"
        "Fleet.run = lambda *_, **__: (show(), os._exit(0));"
        "main(sys.argv[1:])"
    )
    arguments = [sys.executable, "-c", code, *command.split(), "-i", "localhost,"]
    environment = {**os.environ, "HARDENER_HOME": str(tmp_path / "home")}
    result = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    assert result.stdout == "[]\n", result.stderr


@pytest.fixture
def without_reader() -> Iterator[int]:
    """A pipe that nothing reads, as at the end of ``| head``."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("command", ["--help", "controls", "controls 5.5"])
def test_a_command_that_prints_ends_quietly_without_a_reader(command: str, without_reader: int) -> None:
    arguments = [sys.executable, "-m", "hardener", *command.split()]
    ended = subprocess.run(arguments, stdout=without_reader, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (ExitCode.OUTPUT_CLOSED, b"")


def test_a_run_over_hosts_keeps_its_exit_code_without_a_reader(without_reader: int, tmp_path: Path) -> None:
    snapshot, report = tmp_path / "a.json", tmp_path / "junit.xml"
    snapshot.write_text(json.dumps(make().raw))
    arguments = [sys.executable, "-m", "hardener", "assess", str(snapshot), "--junit", str(report)]
    ended = subprocess.run(arguments, stdout=without_reader, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (ExitCode.NOT_COMPLIANT, b"")
    assert report.exists()


def test_standard_output_on_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "hardener", "controls", "5.5"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"hardener: error: No space left on device\n")


@pytest.mark.parametrize(
    ("closed", "says"),
    [("<&-", "The storage driver"), (">&-", ""), ("2>&-", "The storage driver"), (">&- 2>&- <&-", "")],
)
def test_closed_standard_streams_are_not_an_internal_error(closed: str, says: str) -> None:
    command = f'exec "$0" -m hardener controls daemon-storage-devicemapper-absent {closed}'
    ended = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout[:18] == says
