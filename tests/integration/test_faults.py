"""Faults at some calls of the transaction; tests/faults has all of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.faults.running import complaints, swept

POINTS = 8
SEED = int(os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32))


@pytest.mark.parametrize("host", [(), ("--bare",)])
def test_a_fault_at_any_call_leaves_the_host_as_before_or_as_planned(
    record_property: Callable[[str, object], None], host: tuple[str, ...]
) -> None:
    print(f"HARDENER_TEST_SEED={SEED}")
    records, _ = swept(*host, "--sample", str(POINTS), "--seed", str(SEED))
    record_property("fault points", len(records))
    assert len(records) == POINTS
    assert not complaints(records), f"python -m tests.faults {' '.join(host)} --sample {POINTS} --seed {SEED}"
