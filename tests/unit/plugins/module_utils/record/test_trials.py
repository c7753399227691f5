"""What the trials of a proof tell of starts and of refused calls."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.trials import (
    as_usual,
    most_of_one_start,
)


def refused(cgroup: int, times: int, **more: Any) -> dict[str, Any]:
    return {"cgroup": cgroup, "program": "python3", "number": 83, "error": 13, "times": times, **more}


@pytest.mark.parametrize(
    ("reason", "usual", "expected"),
    [
        ("it started", "it started", True),
        ("it ended by itself with code 0", "it ended by itself with code 0", True),
        # The machine was slower before.
        ("it started", "nothing listens on port 5432", True),
        ("nothing listens on port 5432", "it started", False),
        ("nothing listens on port 80", "nothing listens on port 5432", False),
        ("it started", "it ended by itself with code 0", False),
        ("it ended by itself with code 1", "it started", False),
        ("it started", "", False),
    ],
)
def test_a_start_is_compared_with_the_usual_one(reason: str, usual: str, expected: bool) -> None:
    assert as_usual(reason, usual) == expected


@pytest.mark.parametrize("order", list(itertools.permutations((2, 7, 7, 1))))
def test_a_refused_call_has_the_highest_count_of_any_single_start(order: tuple[int, ...]) -> None:
    entries = [refused(cgroup, times) for cgroup, times in enumerate(order)]
    entries.append(refused(9, 4, error=30))
    first, second = most_of_one_start(entries)
    assert first == {"program": "python3", "number": 83, "error": 13, "times": 7}
    assert (second["error"], second["times"]) == (30, 4)
