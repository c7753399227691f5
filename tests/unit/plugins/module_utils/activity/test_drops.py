"""Counts by the day."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.drops import DropCounters

DAY = 86400.0


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
