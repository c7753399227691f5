from __future__ import annotations

from pathlib import Path

from hardener.history import History
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept


def test_each_inventory_has_its_own_baseline(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots = {"x": host()}
    hardener("audit", "-i", "other,")
    assert hardener("baseline", "latest", "-i", "other,").exit_code == 0
    result = hardener("baseline", "latest", "-i", "inv,")
    other, inv = kept(home)
    assert f"{inv.id} is the baseline of inv," in result.stderr
    for run in (inv, other):
        chosen = History(home).baseline(run.record.inventory)
        assert chosen
        assert chosen.id == run.id
        assert f"run        {run.id}\n" in hardener("show", "baseline", "-i", run.record.inventory).stdout


def test_an_unknown_run_is_an_error(hardener: Hardener, home: Path) -> None:
    assert hardener("baseline", "latest").exit_code == 2
