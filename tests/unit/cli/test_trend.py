from __future__ import annotations

from pathlib import Path

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept

ONLY = ("--only", "3.17", "--only", "3.18")


def test_a_trend_has_one_line_for_each_section(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    for mode in ("0666", "0666", "0644"):
        audited(hardener, fleet, {"a": host(mode)}, *ONLY)
    result = hardener("trend")
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
    assert "2 runs" in hardener("trend", newest).stdout
    assert "1 run by" in hardener("trend", "-i", "inv,").stdout  # the state: of the run by all controls
    assert "1 run by" in hardener("trend", "-i", "other,").stdout


def test_an_empty_history_is_an_error(hardener: Hardener, home: Path) -> None:
    assert hardener("trend").exit_code == 2
