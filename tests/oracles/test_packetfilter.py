"""What the judge says comes in, and what does: random rules in the kernel, connections from outside."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.oracles import filtering
from tests.oracles.connecting import Network

CASES, ALL_CASES = 100, 3500
PARTS = 4  # that workers share
pytestmark = pytest.mark.independent


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.mark.parametrize("part", range(PARTS))
def test_verdicts_match_the_packets_that_arrive(
    network: Network, seed: int, all_cases: bool, part: int
) -> None:
    verdicts: Counter[str] = Counter()
    for case in range(part, ALL_CASES if all_cases else CASES, PARTS):
        seen = filtering.observe(network, random.Random(f"{seed} {case}"))
        found, said = filtering.disagreements(seen, network.reached)
        assert not found, f"case {case} of seed {seed}\n{seen}\n" + "\n".join(found)
        verdicts.update(said)
    print(verdicts)
    assert min(verdicts[each] for each in ("open", "doubt", "closed")) > 0
