from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from hardener.comparison.previous_runs import Since
from hardener.errors import HardenerError
from hardener.history import History
from hardener.history.previous import previous_runs
from hardener.model import Assessment, Status
from tests.unit.history.runs import NOW, put, record
from tests.unit.reports.assessments import assessment, gone


def test_the_first_run_has_no_previous_runs(history: History) -> None:
    assert previous_runs(history, record()) is None


def test_previous_runs_are_returned_oldest_first(history: History) -> None:
    for day in (3, 2, 1):
        put(history, f"day{day}", [assessment("a"), gone("b")], ended=NOW - timedelta(days=day))
    found = previous_runs(history, record())
    assert found
    assert [point.run_id for point in found.points] == ["day3", "day2", "day1"]
    assert found.points[0].hosts == 2
    assert found.points[0].unreachable == 1
    assert found.points[0].counts[Status.FAIL] == assessment().counts()[Status.FAIL]
    assert found.hosts == {"a", "b"}
    assert found.before("a") == assessment("a")
    assert found.before("nobody") is None


def test_a_host_with_invalid_unicode_in_its_name_is_compared(history: History) -> None:
    put(history, "one", [assessment("\ud800")])
    found = previous_runs(history, record())
    assert found
    since = Since(found)
    since.add(assessment("\ud800"))
    assert (since.compared, since.gone, since.new) == (1, [], [])


@pytest.mark.parametrize(
    "changed", [{"inventory": "test.yml"}, {"limit": "web"}, {"level": 1}, {"only": ("runtime",)}]
)
def test_runs_with_another_inventory_or_selection_are_not_previous_runs(
    history: History, changed: dict[str, object]
) -> None:
    put(history, "one")
    assert previous_runs(history, replace(record(), **changed)) is None  # type: ignore[arg-type]


def test_runs_by_another_benchmark_are_not_previous_runs(history: History) -> None:
    put(history, "one")
    other = record()
    assert (
        previous_runs(history, replace(other, info=replace(other.info, benchmark="cis-docker-1.6.0"))) is None
    )


def test_the_previous_runs_of_a_stored_run_are_only_the_earlier_ones(history: History) -> None:
    stored = [put(history, name) for name in ("one", "two", "three")]
    found = previous_runs(history, stored[1].record, before=stored[1].number)
    assert found
    assert [point.run_id for point in found.points] == ["one"]


@pytest.mark.parametrize("asked", ["abcd", "dcba", "cadb", "bd", "aabbccdd"])
def test_earlier_assessments_of_hosts_can_be_requested_in_any_order(history: History, asked: str) -> None:
    hosts: dict[str, Assessment] = {name: assessment(name) for name in "abcd"}
    put(history, "one", hosts.values())
    found = previous_runs(history, record())
    assert found
    for name in asked:
        assert found.before(name) == hosts[name]


def test_a_damaged_run_is_an_error_that_names_it(history: History) -> None:
    put(history, "one", [assessment("a"), assessment("b")])
    with sqlite3.connect(history.path / "history.sqlite3") as connection:
        connection.execute("UPDATE host SET assessment = x'00' WHERE name = 'b'")
    found = previous_runs(history, record())
    assert found
    assert found.before("a") == assessment("a")
    with pytest.raises(HardenerError, match="run one is damaged"):
        found.before("b")
