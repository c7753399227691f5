"""What a shell offers at the tab key; what it does with it was tried in bash, zsh and fish."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from hardener import catalogue
from hardener.cli import completers, main
from hardener.cli.completion import SHELLS
from hardener.reports.formats import FOLDERS, FORMATS
from tests.unit.cli.every_command import commands
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept


def offered(*words: str) -> list[tuple[str, str]]:
    """Type and value of what is offered for the last word."""
    complete = ShellComplete(main, {}, "hardener", "_HARDENER_COMPLETE")
    return [(each.type, each.value) for each in complete.get_completions(list(words[:-1]), words[-1])]


def values(*words: str) -> list[str]:
    found = offered(*words)
    assert {kind for kind, _ in found} <= {"plain"}
    return [value for _, value in found]


EVERY = list(commands())
OTHERS = ("resume", "workload")  # their runs and proofs are not those of the history
BY_METAVAR = {
    "INVENTORY": completers.inventory,
    "RUN": completers.run,
    "SLUG|CIS-ID": completers.control,
    "SLUG|CIS-ID|SECTION": completers.selector,
    "FORMAT=PATH": completers.report,
}


@pytest.mark.parametrize(("words", "command"), EVERY, ids=[" ".join(words) for words, _ in EVERY])
def test_every_parameter_has_the_completer_of_its_kind(
    words: tuple[str, ...], command: click.Command
) -> None:
    for parameter in command.params:
        kind = (parameter.metavar or "").strip("[].12")
        if parameter.name == "benchmark":
            assert parameter._custom_shell_complete is completers.benchmark, words
        elif kind in BY_METAVAR and words[0] not in OTHERS:
            assert parameter._custom_shell_complete is BY_METAVAR[kind], (words, parameter.name)


def test_commands_and_options_are_completed() -> None:
    assert values("sh") == ["show"]
    assert values("schedule", "st") == ["status"]
    assert "--severity" in values("show", "--se")
    assert values("show", "--severity", "c") == ["critical"]


def test_files_are_completed() -> None:
    assert offered("audit", "-i", "inv") == [("file", "inv")]
    assert offered("show", "-i", "") == [("file", "")]
    assert offered("audit", "--junit", "j") == [("file", "j")]


def test_controls_sections_and_benchmarks_are_completed() -> None:
    assert values("audit", "--benchmark", "cis") == list(catalogue.benchmarks())
    assert values("controls", "5.5") == ["5.5"]
    assert values("show", "--only", "ru") == ["runtime"]
    assert set(values("audit", "--only", "runtime")) == {"runtime"}
    old = catalogue.load("cis-docker-1.6.0")
    assert len(values("controls", "--benchmark", "cis-docker-1.6.0", "")) == 2 * len(old)
    assert len(values("controls", "")) == 2 * len(catalogue.load(catalogue.DEFAULT_BENCHMARK))


def test_report_formats_are_completed() -> None:
    known = [*FORMATS, *FOLDERS]
    assert values("audit", "--report", "") == [f"{name}=" for name in known]


def test_runs_of_the_typed_inventory_are_completed(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "3.18")
    hardener("audit", "-i", "other,", "--only", "3.18")
    newest, oldest = kept(home)
    names = ["latest", "latest~1", "baseline"]
    assert values("show", "") == [*names, newest.id, oldest.id]
    assert values("show", "-i", "inv,", "") == [*names, oldest.id]
    assert values("diff", "latest", newest.id[:6]) == [newest.id]
    assert values("drift", "--against", "base") == ["baseline"]
    assert values("show", "--home", str(home / "none"), "") == names


def test_a_damaged_history_completes_only_fixed_names_and_prints_no_error(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(parents=True)
    (home / "history.sqlite3").write_bytes(b"no database at all" * 100)
    assert values("show", "") == ["latest", "latest~1", "baseline"]
    assert capfd.readouterr() == ("", "")


def test_values_that_a_shell_interprets_are_not_offered() -> None:
    hostile = ("a b", "$(x)", "`x`", "*", "a;b", "\n", "", "é", "it's")
    complete = completers._completer(lambda _context, _typed: ((each, "") for each in (*hostile, "ok")))
    found = complete(click.Context(main), click.Argument(["x"]), "")
    assert [each.value for each in found] == ["ok"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_own_script(hardener: Hardener, shell: str, tmp_path: Path) -> None:
    result = hardener("completion", shell)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"_HARDENER_COMPLETE={shell}_complete" in result.stdout
    assert ("compopt -o nospace" in result.stdout) is (shell == "bash")
    if program := shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(result.stdout)
        subprocess.run([program, "-n", str(path)], check=True, capture_output=True)


def test_an_unknown_shell_is_refused(hardener: Hardener) -> None:
    assert hardener("completion", "tcsh").exit_code == 2
