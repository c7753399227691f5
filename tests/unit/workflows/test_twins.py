"""What a host says when it begins is shown to a person, and may be hostile."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.workflows import twins


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (["recorded by bpftrace: there is no bpftool"], ["recorded by bpftrace: there is no bpftool"]),
        (["a\x1b[31m\nb", 7, None, ["c"]], ["a\\x1b[31m b"]),
        (["a"] * 1000, ["a"] * 10),
        ("text", []),
        ({"a": "b"}, []),
        (None, []),
    ],
)
def test_problems_that_a_host_reports_are_shown_on_one_line_each(told: Any, shown: list[str]) -> None:
    assert twins.problems({"problems": told}) == shown


def test_a_long_problem_that_a_host_reports_is_cut() -> None:
    (text,) = twins.problems({"problems": ["x" * 100_000]})
    assert len(text) < 1100
