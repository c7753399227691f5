from __future__ import annotations

from pathlib import Path

from hardener.history import History
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept

ONLY = ("--only", "3.17", "--only", "3.18")


def test_runs_are_listed_newest_first(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "3.18")
    audited(hardener, fleet, {"a": host("0666"), "b": "timed out"}, "--only", "3.18", "--limit", "a*")
    result = hardener("runs", "list")
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
    assert hardener("runs", "baseline", "latest", "--part").exit_code == 0
    assert hardener("runs", "list").stdout.endswith("inv, (baseline)\n")


def test_an_empty_history_is_not_an_error(hardener: Hardener, home: Path) -> None:
    result = hardener("runs", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"no run is kept in {home}" in result.stderr


def test_the_folder_of_the_history_can_be_given(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    audited(hardener, fleet, {"a": host()}, "--only", "3.18", "--home", other)
    assert not kept(home)
    assert len(hardener("runs", "list", "--home", other).stdout.splitlines()) == 2


def test_each_inventory_has_its_own_baseline(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots = {"x": host()}
    hardener("audit", "-i", "other,")
    assert hardener("runs", "baseline", "latest", "-i", "other,").exit_code == 0
    result = hardener("runs", "baseline", "latest", "-i", "inv,")
    other, inv = kept(home)
    assert f"{inv.id} is the baseline of inv," in result.stderr
    for run in (inv, other):
        chosen = History(home).baseline(run.record.inventory)
        assert chosen
        assert chosen.id == run.id
        assert f"run        {run.id}\n" in hardener("show", "baseline", "-i", run.record.inventory).stdout


def test_a_baseline_that_does_not_exist_is_an_error(hardener: Hardener, home: Path) -> None:
    assert hardener("runs", "baseline", "latest").exit_code == 2


def test_a_baseline_of_a_part_is_refused_unless_it_is_asked_for(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host()})
    audited(hardener, fleet, {"a": host()}, "--limit", "a")
    result = hardener("runs", "baseline", "latest")
    assert (result.exit_code, "has results of 2 runs" in result.stderr) == (2, True)
    part = kept(home)[0]
    result = hardener("runs", "baseline", part.id)
    assert (result.exit_code, f"{part.id} has only a part of inv,: 1 host" in result.stderr) == (2, True)
    assert History(home).baseline("inv,") is None
    assert hardener("runs", "baseline", part.id, "--part").exit_code == 0


def test_runs_and_inventories_are_forgotten(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    audited(hardener, fleet, {"a": host("0666")})
    fleet.snapshots = {"x": host()}
    hardener("audit", "-i", "other,")
    other, second, first = kept(home)
    hardener("runs", "baseline", first.id)
    assert "1 run forgotten, 2 left" in hardener("runs", "forget", first.id).stderr
    assert hardener("show", "baseline", "-i", "inv,").exit_code == 2
    assert "1 run forgotten, 1 left" in hardener("runs", "forget", "-i", "inv,").stderr
    assert [each.id for each in kept(home)] == [other.id]
    assert [each.name for each in (home / "runs").iterdir()] == [other.id]
    assert second.id not in hardener("runs", "list").stdout


def test_all_runs_are_not_forgotten_without_a_name(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    assert hardener("runs", "forget").exit_code == 2
    assert hardener("runs", "forget", "-i", "typo,").exit_code == 2
    assert len(kept(home)) == 1


def test_a_trend_has_one_line_for_each_section(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    for mode in ("0666", "0666", "0644"):
        audited(hardener, fleet, {"a": host(mode)}, *ONLY)
    result = hardener("runs", "trend")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["inv,:", "3", "runs", "by", "cis-docker-1.8.0"]
    assert lines[3:] == [["files", "▅▅█", "50%", "100%", "0"], ["total", "▅▅█", "50%", "100%", "0"]]


def test_runs_with_other_selections_and_inventories_are_omitted(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host("0666")}, *ONLY)
    audited(hardener, fleet, {"a": host("0666")})
    hardener("audit", "-i", "other,", *ONLY)
    audited(hardener, fleet, {"a": host("0666")}, *ONLY)
    newest = kept(home)[0].id
    assert "2 runs" in hardener("runs", "trend", newest).stdout
    assert (
        "1 run by" in hardener("runs", "trend", "-i", "inv,").stdout
    )  # the state: of the run by all controls
    assert "1 run by" in hardener("runs", "trend", "-i", "other,").stdout


def test_a_trend_of_an_empty_history_is_an_error(hardener: Hardener, home: Path) -> None:
    assert hardener("runs", "trend").exit_code == 2
