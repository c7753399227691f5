"""What users can do with the engine's files, and what section 3 says of them: see ownership."""

from __future__ import annotations

from collections import Counter

from tests.leftovers import scratch
from tests.oracles import ownership

CASES, ALL_CASES = 100, 3000


def test_verdicts_match_what_users_can_do(seed: int, all_cases: bool) -> None:
    outcomes: Counter[bool] = Counter()
    with scratch("ownership") as stage:
        for number in range(ALL_CASES if all_cases else CASES):
            seen = ownership.observe(seed, number, stage)
            found = ownership.disagreements(seen)
            assert not found, f"seed {seed}\n" + "\n".join(found)
            outcomes[bool(seen.reached)] += 1
    print(outcomes)
    assert min(outcomes[each] for each in (True, False)) > 0
