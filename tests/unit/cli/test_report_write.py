from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardener.reports import junit, sarif
from hardener.reports.formats import FORMATS
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, repairing
from tests.unit.snapshots import container, with_containers


def test_a_stored_run_gives_the_same_report_bytes_in_every_format(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    options = [word for name in FORMATS for word in ("--report", f"{name}={tmp_path / name}")]
    fleet.snapshots = {
        "b": host("0666"),
        "gone": "timed out",
        "a": with_containers(container("<b>\x1b[31m&")),
    }
    hardener("audit", "-i", "inv,")
    fleet.snapshots["b"] = host("0600")
    hardener("audit", "-i", "inv,", *options)
    for name in FORMATS:
        written = (tmp_path / name).read_bytes()
        assert hardener("report", "write", "latest", "--report", f"{name}={again}").exit_code == 0
        assert again.read_bytes() == written, name
        assert hardener("report", "write", "--report", f"{name}=-").stdout_bytes == written, name


def test_a_report_into_a_missing_folder_is_an_error(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    result = hardener("report", "write", "--report", f"csv={tmp_path / 'file' / 'report.csv'}")
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr


def test_a_report_has_to_be_requested(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    result = hardener("report", "write", "latest")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "add --report FORMAT=PATH" in result.stderr


def test_a_damaged_run_is_reported(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    import sqlite3

    audited(hardener, fleet, {"a": host()})
    connection = sqlite3.connect(home / "history.sqlite3")
    connection.execute("UPDATE host SET assessment = x'00'")
    connection.commit()
    connection.close()
    result = hardener("report", "write", "--report", "csv=-")
    assert result.exit_code == 2
    assert "is damaged in the history" in result.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["junit", "sarif"])
def test_a_report_larger_than_its_reader_accepts_is_a_warning_of_every_command(
    hardener: Hardener,
    fleet: FakeFleet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(junit, "_MOST_ELEMENTS", 10)
    monkeypatch.setattr(sarif, "_MOST_RESULTS", 10)
    out = tmp_path / "large"
    option = ("--report", f"{name}={out}")
    fleet.snapshots = {"a": host("0666")}
    repairing(fleet)
    for words, target in (
        (("audit", "-i", "inv,", *option), out),
        (("drift", "-i", "inv,", *option), out),
        (("harden", "-i", "inv,", *option), out),
        (("report", "write", *option), out),
        (("report", "write", "--report", f"{name}=-"), "-"),
    ):
        said = hardener(*words).stderr
        assert said.count(f"hardener: warning: {target}: ") == 1, words
        assert "--split host or --split group" in said
    assert "warning" not in hardener("audit", "-i", "inv,", *option, "--split", "group").stderr


@pytest.mark.parametrize(
    "command",
    [
        "report write --report junit=- --split host",
        "report write --report html-dir=-",
        "report site --out -",
        "report site --out /dev/null",
    ],
)
@pytest.mark.usefixtures("home")
def test_several_files_are_not_written_to_standard_output(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    audited(hardener, fleet, {"a": host()})
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    result = hardener(*command.split())
    assert (result.exit_code, result.stdout, list(empty.iterdir())) == (2, "", [])
    assert re.search("--split writes several files|it is not a folder", result.stderr)
