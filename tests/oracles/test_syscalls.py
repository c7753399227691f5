"""What system calls containers can make, and what the judges say of their seccomp profiles: see syscalls."""

from __future__ import annotations

import pytest

from tests.integration.namespaces import OwnNetwork
from tests.oracles import syscalls
from tests.oracles.receiving import received, started

CASES, ALL_CASES = 30, 500


def test_verdicts_match_the_calls_that_containers_can_make(
    seed: int, all_cases: bool, own_network: OwnNetwork | None
) -> None:
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    cases = ALL_CASES if all_cases else CASES
    ran = opening = 0
    with (
        own_network.inside(),
        # A program of its own: its filter stays in force for all that it starts.
        started(syscalls, seed, cases) as process,
    ):
        for seen in received(process):
            found = syscalls.disagreements(seen)
            assert not found, f"seed {seed}\n" + "\n".join(found[:5])
            ran += len(seen.cases)
            opening += sum(syscalls.opens_more(seen, name) for name in seen.cases)
    assert process.returncode == 0
    print(f"{ran} containers ran, {opening} could call more than by default")
    assert 0 < opening < ran
