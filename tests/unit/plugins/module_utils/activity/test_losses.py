"""Counts by the day."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.losses import Losses

DAY = 86400.0


def test_counts_that_only_grow_are_kept_by_the_day_they_grew_on() -> None:
    losses = Losses()
    for now, overruns in ((0.0, 1), (DAY - 1, 3), (DAY, 3), (DAY + 1, 7)):
        losses.note({"overruns": overruns, "events": 0}, now)
    assert losses.data() == {
        "1970-01-01": {"overruns": 3, "events": 0},
        "1970-01-02": {"overruns": 4, "events": 0},
    }
    assert losses.total() == {"overruns": 7, "events": 0}


def test_another_process_goes_on_where_this_one_ended() -> None:
    losses = Losses()
    losses.note({"overruns": 5}, 0.0)
    again = Losses(json.loads(json.dumps(losses.data())))
    again.note({"overruns": 2}, 10.0)
    assert again.total() == {"overruns": 7}


def test_a_day_that_is_over_for_long_is_forgotten() -> None:
    losses = Losses()
    losses.note({"overruns": 5}, 0.0)
    losses.note({"overruns": 6}, 9 * DAY)
    losses.forget(2 * DAY)
    assert losses.total() == {"overruns": 1}


@pytest.mark.parametrize("odd", [None, [], 5, {"x": {}}, {"1970-01-01": 5}, {5: {}}])
def test_what_is_odd_is_left_out(odd: Any) -> None:
    assert Losses(odd).total() == {}
    assert Losses({"1970-01-01": {"a": "x", "b": True, "c": 1}}).total() == {"c": 1}
