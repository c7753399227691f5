"""The work of a call is counted in proportion to its size."""

from __future__ import annotations

import sys

from tests.unit.operations import operations


def _pairs(number: int) -> list[bool]:
    return [a == b for a in range(number) for b in range(number)]


def test_linear_and_quadratic_work_are_told_apart() -> None:
    before = sys.gettrace()
    assert operations(lambda: [str(each) for each in range(800)]) <= 9 * operations(
        lambda: [str(each) for each in range(100)]
    )
    assert operations(lambda: _pairs(80)) > 40 * operations(lambda: _pairs(10))
    assert sys.gettrace() is before
