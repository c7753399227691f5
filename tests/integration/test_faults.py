"""Faults at some calls of the transaction; tests/faults has all of them."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.faults.running import complaints, swept

POINTS = 12


def test_a_host_is_as_before_or_as_planned_after_a_fault_at_any_call(
    record_property: Callable[[str, object], None],
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    records, _ = swept("--sample", str(POINTS), "--seed", str(seed))
    record_property("fault points", len(records))
    assert len(records) == POINTS
    assert not complaints(records), f"python -m tests.faults --sample {POINTS} --seed {seed}"
