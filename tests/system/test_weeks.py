"""50 runs of `drift --remediate` by a timer: hosts are snapshots, all else is the real command line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.unit.cli.conftest import FakeFleet, fleet, hardener, home
from tests.unit.cli.histories import DRIFT, Hardener, audited, host, kept, repairing

__all__ = ["fleet", "hardener", "home"]  # fixtures

pytestmark = pytest.mark.independent


def test_weeks_of_timer_runs_repair_each_fault_once_and_fill_no_disk(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    """50 runs of a timer, whose history keeps five: faults at random runs, and a host that is away."""
    chosen = random.Random(17)
    faults, away = set(chosen.sample(range(50), 9)), range(20, 23)
    audited(hardener, fleet, {"a": host(), "b": host()})
    (home / "retention.yml").write_text("keep_runs: 5\n")
    repaired = repairing(fleet)
    codes, sizes = [], []
    for run in range(50):
        fleet.snapshots["b"] = "timed out" if run in away else host()
        if run in faults:
            fleet.snapshots["a"] = host("0666")
        codes.append(hardener(*DRIFT, "--remediate").exit_code)
        assert len(kept(home)) <= 6  # with the audit by which drift is told
        sizes.append(sum(1 for path in home.rglob("*") if path.is_file()))
    assert codes == [7 if run in faults and run not in away else 4 if run in away else 0 for run in range(50)]
    assert repaired == ["a"] * len(faults)
    assert max(sizes[25:]) <= max(sizes[:25])
    assert {run.record.verb for run in kept(home)} <= {"audit", "before drift", "drift"}
