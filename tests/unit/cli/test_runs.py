from __future__ import annotations

from pathlib import Path

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept


def test_runs_are_listed_newest_first(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "3.18")
    audited(hardener, fleet, {"a": host("0666"), "b": "timed out"}, "--only", "3.18", "--limit", "a*")
    result = hardener("runs")
    assert result.exit_code == 0
    newest, oldest = kept(home)
    header, first, second = (row.split() for row in result.stdout.splitlines())
    assert header == [
        "run",
        "ended",
        "command",
        "hosts",
        "pass",
        "fail",
        "error",
        "waived",
        "exit",
        "inventory",
    ]
    assert first[0] == newest.id[:8]
    assert first[2:] == ["audit", "2", "0", "1", "1", "0", "3", "inv,,", "limited", "to", "a*"]
    assert (second[0], second[2:]) == (oldest.id[:8], ["audit", "1", "1", "0", "0", "0", "0", "inv,"])


def test_the_baseline_is_marked(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "3.18")
    assert hardener("baseline", "latest").exit_code == 0
    assert hardener("runs").stdout.endswith("inv, (baseline)\n")


def test_an_empty_history_is_not_an_error(hardener: Hardener, home: Path) -> None:
    result = hardener("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"no run is kept in {home}" in result.stderr


def test_the_folder_of_the_history_can_be_given(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    audited(hardener, fleet, {"a": host()}, "--only", "3.18", "--home", other)
    assert not kept(home)
    assert len(hardener("runs", "--home", other).stdout.splitlines()) == 2
