from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from hardener import lab
from hardener.cli import main
from hardener.errors import ExitCode, HardenerError
from tests.unit.cli.fake_fleet import runner


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> dict[str, lab.Guest]:
    """The running guests."""
    running: dict[str, lab.Guest] = {}

    def up(name: str, release: str, *, report: lab.Say) -> lab.Guest:
        report(f"starting guest {name}")
        running[name] = lab.Guest(
            name=name,
            release=lab.release_named(release).name,
            directory=Path("/cache/guests") / name,
            port=2222,
            user_key=Path("/cache/key"),
        )
        return running[name]

    def find(name: str) -> lab.Guest:
        if name not in running:
            raise HardenerError(f"no guest {name} is running")
        return running[name]

    monkeypatch.setattr(lab, "up", up)
    monkeypatch.setattr(lab, "find", find)
    monkeypatch.setattr(lab, "down", lambda name: running.pop(name, None) is not None)
    monkeypatch.setattr(lab, "status", lambda: list(running.values()))
    return running


def run(*argv: str) -> Result:
    return runner().invoke(main, ["lab", *argv])


def test_lab_up_prints_the_inventory_path_to_stdout_and_messages_to_stderr(
    guests: dict[str, lab.Guest],
) -> None:
    ran = run("up", "--debian", "12")
    assert ran.stdout == "/cache/guests/debian-12/inventory.yml\n"
    assert "starting guest debian-12" in ran.stderr
    assert guests["debian-12"].release == "12"


def test_a_bare_guest_has_its_own_name(guests: dict[str, lab.Guest]) -> None:
    run("up")
    assert run("up", "--bare").stdout == "/cache/guests/debian-13-bare/inventory.yml\n"
    assert guests["debian-13-bare"].release == "13-bare"
    assert "removed guest debian-13-bare" in run("down", "--bare").stderr
    assert list(guests) == ["debian-13"]


def test_a_guest_has_the_given_name(guests: dict[str, lab.Guest]) -> None:
    run("up", "--name", "mine")
    assert guests["mine"].release == "13"


def test_an_unknown_release_is_a_usage_error(guests: dict[str, lab.Guest]) -> None:
    ran = run("up", "--debian", "14")
    assert ran.exit_code == ExitCode.USAGE
    assert "12, 13, testing" in ran.stderr


def test_the_help_names_every_release() -> None:
    assert "|".join(lab.RELEASES) in run("up", "--help").stdout


def test_status_has_one_line_for_each_guest(guests: dict[str, lab.Guest]) -> None:
    run("up", "--name", "mine")
    assert run("status").stdout == "mine\t13\tstopped\t2222\t/cache/guests/mine/inventory.yml\n"


def test_lab_down_removes_the_guest_or_reports_that_there_is_none(guests: dict[str, lab.Guest]) -> None:
    run("up")
    assert "removed guest debian-13" in run("down").stderr
    assert "there is no guest debian-13" in run("down").stderr
    assert not guests


@pytest.mark.parametrize(
    "argv",
    [("docker", "ps", "-a"), ("--", "docker", "ps", "-a"), ("--user", "root", "docker", "ps", "-a")],
)
def test_ssh_replaces_the_process_and_passes_options_to_the_command(
    guests: dict[str, lab.Guest], monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda file, words: became.append([file, *words]))
    run("up")
    run("ssh", *argv)
    assert became == [["ssh", *guests["debian-13"].ssh_command("docker", "ps", "-a")]]


def test_ssh_to_a_missing_guest_is_an_error(guests: dict[str, lab.Guest]) -> None:
    ran = run("ssh", "--name", "nobody")
    assert ran.exit_code == ExitCode.USAGE
    assert "no guest nobody is running" in ran.stderr
