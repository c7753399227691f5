from __future__ import annotations

from pathlib import Path

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept


def test_a_stored_run_is_shown_with_the_same_text_as_when_it_ended(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audit = audited(hardener, fleet, {"a": host("0666"), "b": "timed out"}, "--only", "files")
    shown = hardener("show")
    assert shown.exit_code == 0
    about, _, rest = shown.stdout.partition("\n" + audit.stdout.splitlines()[0])
    assert rest
    assert audit.stdout.endswith(rest)
    [run] = kept(home)
    assert f"run        {run.id}\n" in about
    assert "command    audit, exit code 3\n" in about
    assert "controls   cis-docker-1.8.0 up to level 2, only files\n" in about


def test_an_unknown_run_is_an_error(hardener: Hardener, home: Path) -> None:
    result = hardener("show", "3f1c")
    assert result.exit_code == 2
    assert "there is no run '3f1c' (no run is kept in" in result.stderr


def test_control_characters_in_the_name_of_an_inventory_are_escaped(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    fleet.snapshots = {"a": host()}
    hardener("audit", "-i", "a\x1b[31m,", "--only", "3.18")
    assert "\x1b" not in hardener("show").stdout + hardener("runs", "list").stdout
