"""The inventory whose runs a command means, as the user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, host, kept


def audited(hardener: Hardener, fleet: FakeFleet, inventory: str, name: str = "a") -> None:
    fleet.snapshots = {name: host()}
    assert hardener("audit", "-i", inventory, "--only", "3.18").exit_code == 0


@pytest.fixture
def two(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Two inventories with a run each: a file, audited from its folder, and a list."""
    (tmp_path / "prod.yml").write_text("all: {hosts: {a: }}")
    monkeypatch.chdir(tmp_path)
    audited(hardener, fleet, "prod.yml")
    audited(hardener, fleet, "db01,db02", "db01")
    return str(tmp_path / "prod.yml"), "db01,db02"


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("show", "latest~1"),
        ("diff",),
        ("trend",),
        ("report", "--format", "csv"),
        ("runs", "baseline", "latest", "--part"),
        ("evidence", "export", "latest", "--out", "x.tar.gz"),
    ],
    ids=" ".join,
)
def test_the_inventory_that_was_used_last_is_the_default_and_named_first(
    hardener: Hardener, home: Path, two: tuple[str, str], command: tuple[str, ...]
) -> None:
    result = hardener(*command)
    said = "inventory db01,db02: it was used last; another has runs, -i chooses"
    assert result.stderr.splitlines()[0] == said
    assert result.stderr.count("inventory db01,db02: ") == 1
    assert two[0] not in result.stdout + result.stderr
    assert said not in hardener(*command, "-i", two[0]).stderr


def test_one_inventory_and_a_run_with_an_id_need_no_remark(
    hardener: Hardener, home: Path, two: tuple[str, str]
) -> None:
    assert hardener("show", kept(home)[1].id).stderr == ""
    assert hardener("runs", "forget", "-i", two[0]).exit_code == 0
    assert hardener("show").stderr == ""


def test_an_inventory_is_recognised_by_its_path_from_another_folder(
    hardener: Hardener, home: Path, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_run, file_run = kept(home)
    (tmp_path / "below").mkdir()
    (tmp_path / "link.yml").symlink_to("prod.yml")
    monkeypatch.chdir(tmp_path / "below")
    for typed in ("../prod.yml", "../link.yml", two[0]):
        assert f"run        {file_run.id}\n" in hardener("show", "-i", typed).stdout
    for typed in ("db01,db02", "db02, db01"):
        assert f"run        {list_run.id}\n" in hardener("show", "-i", typed).stdout
    (tmp_path / "prod.yml").unlink()
    (tmp_path / "link.yml").unlink()
    assert hardener("show", "-i", "../prod.yml").exit_code == 0
    assert hardener("show", "-i", "prod.yml").exit_code == 2


def test_a_run_of_another_inventory_is_refused(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    list_run, file_run = kept(home)
    assert hardener("show", file_run.id).exit_code == 0
    result = hardener("show", file_run.id, "-i", two[1])
    assert result.exit_code == 2
    assert f"run {file_run.id} belongs to the inventory {two[0]}, not to db01,db02" in result.stderr
    result = hardener("runs", "baseline", list_run.id, "-i", two[0])
    assert result.exit_code == 2


def test_two_runs_without_a_common_host_are_refused(
    hardener: Hardener, home: Path, two: tuple[str, str]
) -> None:
    list_run, file_run = kept(home)
    result = hardener("diff", file_run.id, list_run.id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "have no host in common" in result.stderr


def test_runs_with_one_common_host_are_compared(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, "one,", "a")
    audited(hardener, fleet, "other,", "a")
    newest, oldest = kept(home)
    assert "1 host compared" in hardener("diff", oldest.id, newest.id).stdout


def test_a_second_inventory_is_refused(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    result = hardener("show", "-i", two[0], "-i", two[1])
    assert result.exit_code == 2
    assert "only one inventory is allowed" in result.stderr


def test_runs_of_one_inventory_are_listed(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    assert len(hardener("runs", "list").stdout.splitlines()) == 3
    [_, row] = hardener("runs", "list", "-i", "prod.yml").stdout.splitlines()
    assert row.endswith(two[0])
    result = hardener("runs", "list", "-i", "other.yml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no run of " in result.stderr


def test_drift_against_latest_uses_the_last_run_of_the_audited_inventory(
    hardener: Hardener, fleet: FakeFleet, home: Path, two: tuple[str, str]
) -> None:
    fleet.snapshots = {"a": host()}
    result = hardener("drift", "-i", "prod.yml", "--against", "latest")
    assert result.exit_code == 0
    assert "was not assessed" not in result.stdout
