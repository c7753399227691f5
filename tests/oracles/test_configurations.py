"""What the engine answers after a start, and what the judges say of its settings: see configurations."""

from __future__ import annotations

import pytest

from tests.integration.namespaces import OwnNetwork
from tests.oracles import configurations

CASES, ALL_CASES = 20, 200


def test_verdicts_match_the_answers_of_the_engine(
    seed: int, all_cases: bool, own_network: OwnNetwork | None
) -> None:
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    started = 0
    cases = ALL_CASES if all_cases else CASES
    with own_network.inside():
        for number, seen in enumerate(configurations.observed(seed, cases)):
            found = configurations.disagreements(seen)
            assert not found, f"case {number} of seed {seed}\n" + "\n".join(found)
            started += not seen.refused
    print(f"{started} of {cases} started")
    assert 0 < started < cases
