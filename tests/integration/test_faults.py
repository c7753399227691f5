"""Faults at some calls of the transaction; tests/faults has all of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from tests.faults.running import complaints, swept

POINTS = 12
SEED = int(os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32))


def test_a_fault_at_any_call_leaves_the_host_as_before_or_as_planned(
    record_property: Callable[[str, object], None],
) -> None:
    print(f"HARDENER_TEST_SEED={SEED}")
    records, _ = swept("--sample", str(POINTS), "--seed", str(SEED))
    record_property("fault points", len(records))
    assert len(records) == POINTS
    assert not complaints(records), f"python -m tests.faults --sample {POINTS} --seed {SEED}"
