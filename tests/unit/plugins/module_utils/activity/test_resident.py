"""How the collector sees that it is not wanted any more, or is another by now."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import record, resident
from ansible_collections.hardener.docker.plugins.module_utils.activity.resident import DropCounters
from ansible_collections.hardener.docker.plugins.module_utils.activity.tally import Baseline, Tally

from tests.unit.sleeping import replace_monotonic

DAY = 86400.0


class Watch:
    """Stands for the loop; nothing happens."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, _seconds: float) -> None:
        self.steps += 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A minute passes with every look at the clock."""
    clock = itertools.count(0, 61)
    replace_monotonic(monkeypatch, lambda: float(next(clock)))
    told = {"ended": 2.0, "deaf": [], "blind": [], "elsewhere": 0}
    monkeypatch.setattr(
        resident, "summary", lambda _, began: {**told, "lost": {"overruns": 1}, "began": began}
    )
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *installed: Any, **past: Any) -> int:
    looks = iter([*installed, ()])
    monkeypatch.setattr(resident, "_installed", lambda: next(looks))
    collector = resident._Collector(
        Watch(),  # type: ignore[arg-type]
        Tally(),
        Baseline(0),
        past=past,
        folder=str(folder / "activity"),
    )
    collector.run()
    return collector.code


NOW, LATER = (("unit", 1, 1),), (("unit", 2, 1),)


def test_the_collector_ends_when_its_files_are_removed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert run(monkeypatch, folder, NOW, NOW, NOW, ()) == 0


def test_the_collector_restarts_after_its_files_changed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert run(monkeypatch, folder, NOW, NOW, LATER, LATER) == 75


def day(days: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86400))


def test_losses_of_the_last_days_are_kept(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    lost_on = {day(2): {"overruns": 41, "elsewhere": 5, "odd": "x"}, day(9): {"overruns": 1000}}
    before = time.time()
    run(monkeypatch, folder, NOW, (), lost_on=lost_on, began=0.5, ended=before - 5)
    after = time.time()
    written = json.loads((folder / "activity" / "record.json").read_text())
    assert written["lost"] == {"overruns": 42, "silent": 0}
    assert written["elsewhere"] == 5
    assert before - 1 <= written["began"] + 7 * 86400 <= after + 1
    assert set(written["lost_on"]) == {day(2), day(0)}


def test_downtime_of_the_collector_since_the_boot_is_recorded_as_a_loss(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _: 3600.0)
    for ended, silent in ((1000.0, 1000), (10_000.0, 3600), (100.0, 0)):
        run(monkeypatch, folder, NOW, (), began=0.5, ended=time.time() - ended)
        written = json.loads((folder / "activity" / "record.json").read_text())
        assert written["lost"]["silent"] == pytest.approx(silent, abs=30)


def test_an_unwritable_record_does_not_end_the_collector(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "activity").write_text("in the way")
    assert run(monkeypatch, folder, NOW, NOW, ()) == 0
    assert capsys.readouterr().err.count("the record cannot be written: File exists") == 2


def test_the_collector_is_identified_by_its_unit_and_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unit = tmp_path / "unit"
    monkeypatch.setattr(record, "UNIT", str(unit))
    assert resident._installed() == ()
    unit.write_text("x")
    before = resident._installed()
    assert str(unit) in {path for path, _, _ in before}
    assert any(path.endswith("/tally.py") for path, _, _ in before)
    os.utime(unit, (1, 1))
    assert resident._installed() != before


@pytest.mark.parametrize("entries", [[5], [{}], [{"first": "x"}], [None]])
def test_malformed_entries_of_a_record_are_discarded_with_a_message(
    entries: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    resident._restore(tally, {"entries": entries})
    assert tally.data(None) == []
    assert "cannot be read" in capsys.readouterr().err


def test_increases_of_counters_are_stored_by_day() -> None:
    losses = DropCounters()
    for now, overruns in ((0.0, 1), (DAY - 1, 3), (DAY, 3), (DAY + 1, 7)):
        losses.note({"overruns": overruns, "events": 0}, now)
    assert losses.data() == {
        "1970-01-01": {"overruns": 3, "events": 0},
        "1970-01-02": {"overruns": 4, "events": 0},
    }
    assert losses.total() == {"overruns": 7, "events": 0}


def test_stored_counters_are_continued_by_another_process() -> None:
    losses = DropCounters()
    losses.note({"overruns": 5}, 0.0)
    again = DropCounters(json.loads(json.dumps(losses.data())))
    again.note({"overruns": 2}, 10.0)
    assert again.total() == {"overruns": 7}


def test_counts_of_old_days_are_removed() -> None:
    losses = DropCounters()
    losses.note({"overruns": 5}, 0.0)
    losses.note({"overruns": 6}, 9 * DAY)
    losses.forget(2 * DAY)
    assert losses.total() == {"overruns": 1}


@pytest.mark.parametrize("odd", [None, [], 5, {"x": {}}, {"1970-01-01": 5}, {5: {}}])
def test_malformed_counts_are_ignored(odd: Any) -> None:
    assert DropCounters(odd).total() == {}
    assert DropCounters({"1970-01-01": {"a": "x", "b": True, "c": 1}}).total() == {"c": 1}
