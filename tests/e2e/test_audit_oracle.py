"""Random audit rules: what is in the log, and what the judge says is recorded: see tests/oracles/accesses."""

from __future__ import annotations

import random

from hardener import lab
from tests.oracles import accesses

CASES = 300


def test_the_verdict_matches_the_records_of_the_kernel(guest: lab.Guest) -> None:
    accesses.prepare(guest)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    wrong = []
    passing = silent = 0
    for seen in accesses.observe(guest, seed, CASES):
        wrong += accesses.disagreements(seen)
        passing += sum(accesses.judged(seen).values())
        silent += not any(seen.found.values())
    assert not wrong, "\n".join(wrong)
    assert passing
    assert silent
