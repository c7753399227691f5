from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib.packetfilter import sets
from hardener.checks.lib.packetfilter.sets import Box, Condition, Intervals

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=5)


def members(intervals: Intervals) -> set[int]:
    return {number for low, high in intervals for number in range(low, high + 1)}


@given(RANGES, RANGES)
def test_interval_operations_match_set_operations(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    first, second = sets.normal(one), sets.normal(other)
    assert members(first) == {number for low, high in one for number in range(low, high + 1)}
    assert members(sets.intersect(first, second)) == members(first) & members(second)
    assert members(sets.subtract(first, second)) == members(first) - members(second)
    for result in (first, sets.intersect(first, second), sets.subtract(first, second)):
        assert result == sets.normal(result)
        assert sets.size(result) == len(members(result))


SIDE = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=3).map(sets.normal)


def points(box: Box) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = {()}
    for side in box:
        found = {(*point, number) for point in found for number in members(side)}
    return found


@given(st.tuples(SIDE, SIDE, SIDE), st.dictionaries(st.integers(0, 2), SIDE))
def test_a_condition_divides_a_set_of_packets_into_matching_and_other_packets(
    box: Box, condition: Condition
) -> None:
    taken = {p for p in points(box) if all(p[side] in members(wanted) for side, wanted in condition.items())}
    inner = sets.within(box, condition)
    assert points(inner or ((),) * 3) == taken
    rest = [points(part) for part in sets.without(box, condition)]
    assert set().union(*rest) == points(box) - taken
    assert sum(map(len, rest)) == len(points(box) - taken)  # they are disjoint


@pytest.mark.parametrize(
    ("pattern", "name", "held"),
    [
        ("eth0", "eth0", True),
        ("eth0", "eth01", False),
        ("eth+", "eth01", True),
        ("eth+", "eth", True),
        ("eth+", "et", False),
        ("+", "anything", True),
        ("eth+", "enp1s0", False),
    ],
)
def test_an_interface_pattern_contains_the_names_that_it_matches(pattern: str, name: str, held: bool) -> None:
    found = sets.intersect(sets.interface(pattern, "+"), sets.interface(name, "+\0"))
    assert bool(found) is held
