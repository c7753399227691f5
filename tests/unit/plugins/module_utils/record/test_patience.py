"""How long the command in the twin of a trial may take."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.trials import Request, Trials


@pytest.mark.parametrize(
    ("seconds", "took", "patience"),
    [
        (900, 0.0, 900),  # the first trial
        (900, 2.0, 30),
        (900, 100.0, 400),
        (900, 500.0, 900),
        (10, 2.0, 10),
    ],
)
def test_the_time_limit_of_a_command_depends_on_its_first_duration_within_the_requested_limit(
    seconds: int, took: float, patience: float
) -> None:
    trials = object.__new__(Trials)
    trials._request = Request({"container": "web", "seconds": seconds})
    trials._took = took
    assert trials._patience() == patience
