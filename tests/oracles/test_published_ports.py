"""What the judge says of published ports, and which packets reach them: random rules beside Docker's own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.oracles.publishing import Publishing, disagreements, observe

CASES, ALL_CASES = 40, 1500
pytestmark = pytest.mark.independent


@pytest.fixture(scope="module")
def host() -> Iterator[Publishing]:
    with Publishing() as host:
        yield host


def test_verdicts_match_the_packets_that_reach_containers(
    host: Publishing, seed: int, all_cases: bool
) -> None:
    verdicts: Counter[str] = Counter()
    for number in range(ALL_CASES if all_cases else CASES):
        seen = observe(host, random.Random(f"{seed} {number}"))
        found = disagreements(seen, lambda probes: host.reached(probes, probes))
        told = f"case {number} of seed {seed}, IPv{seen.version}\n{seen.text}\n{seen.verdict}\n"
        assert not found, told + "\n".join(found)
        verdicts[seen.verdict.status.value] += 1
    print(verdicts)
    assert min(verdicts[each] for each in ("pass", "fail", "manual")) > 0
