from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hardener.comparison.previous_runs import Point
from hardener.model import Status
from hardener.reports.lib.chart_data import columns, trend

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def point(day: float, fails: int, *, hosts: int = 2, unreachable: int = 0) -> Point:
    counts = {Status.FAIL: fails, Status.PASS: 100}
    return Point(f"run{day}", DAY + timedelta(days=day), hosts, unreachable, counts)


def test_the_worst_host_is_the_first_column() -> None:
    plotted = columns([(0, 1), (3, 0), (0, 4)], 2)
    assert list(plotted.columns) == [(0, 4), (3, 0), (0, 1)]
    assert plotted.highest == 4
    assert not plotted.dense


@pytest.mark.parametrize("hosts", [1, 239, 240, 241, 10_000])
def test_hosts_beyond_the_number_of_columns_share_a_column(hosts: int) -> None:
    plotted = columns([(number, 1) for number in range(hosts)], 2)
    assert len(plotted.columns) <= 240
    sums = [sum(column) for column in plotted.columns]
    assert sums == sorted(sums, reverse=True)
    assert plotted.highest == max(1, sums[0])
    assert plotted.dense == (len(plotted.columns) > 120)


def test_without_hosts_there_is_one_empty_column() -> None:
    assert list(columns([], 4).columns) == [(0, 0, 0, 0)]


def test_points_of_a_trend_are_placed_by_time() -> None:
    drawn = trend([point(0, 80), point(3, 40), point(4, 20)])
    assert drawn
    assert [mark.x for mark in drawn.marks] == [0, 0.75, 1]
    assert [mark.value for mark in drawn.marks] == [40, 20, 10]
    assert drawn.highest == 40


@pytest.mark.parametrize(
    "points",
    [
        [],
        [point(0, 5)],
        [point(0, 5), point(1, 0, hosts=2, unreachable=2)],
        [point(0, 5), point(1, 0, hosts=0)],
    ],
)
def test_a_run_without_hosts_is_omitted_and_one_point_makes_no_trend(points: list[Point]) -> None:
    assert trend(points) is None


def test_runs_at_the_same_time_and_without_failures_are_drawn() -> None:
    drawn = trend([point(0, 0), point(0, 0)])
    assert drawn
    assert [mark.x for mark in drawn.marks] == [0, 0]
    assert drawn.highest == 1


def test_only_the_latest_of_many_runs_are_drawn() -> None:
    drawn = trend([point(day, day) for day in range(500)])
    assert drawn
    assert len(drawn.marks) == 120
    assert drawn.marks[-1].ended == DAY + timedelta(days=499)


@pytest.mark.parametrize(("value", "end"), [(1, 1), (3, 5), (26, 30), (31, 40), (118, 120)])
def test_the_axis_ends_at_a_round_number(value: int, end: int) -> None:
    drawn = trend([point(0, value, hosts=1), point(1, 0, hosts=1)])
    assert drawn
    assert drawn.highest == end
