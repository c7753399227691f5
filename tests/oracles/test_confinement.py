"""What the kernel grants containers, and what the judges say of their options: see confinement."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.namespaces import OwnNetwork
from tests.oracles import confinement

CASES, ALL_CASES = 20, 200


def test_verdicts_match_what_the_kernel_grants_containers(
    seed: int, all_cases: bool, own_network: OwnNetwork | None
) -> None:
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    cases = ALL_CASES if all_cases else CASES
    broken: Counter[str] = Counter()
    ran = 0
    with own_network.inside():
        for seen in confinement.observed(seed, cases):
            found = confinement.disagreements(seen)
            assert not found, f"seed {seed}\n" + "\n".join(found[:5])
            ran += len(seen.broken)
            broken.update(
                slug for each in seen.broken.values() for slug, is_broken in each.items() if is_broken
            )
    print(f"{ran} containers ran: {broken}")
    assert ran > cases // 2
    assert len(broken) > 10
