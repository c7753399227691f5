"""What containers can look up of the host, and what the judges say of their mounts: see topologies."""

from __future__ import annotations

import pytest

from tests.integration.namespaces import OwnNetwork
from tests.oracles import topologies
from tests.oracles.receiving import ALONE, received, started

FEW, MANY = 30, 1000


def test_verdicts_match_the_host_paths_that_containers_reach(
    seed: int, all_cases: bool, own_network: OwnNetwork | None
) -> None:
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    cases = MANY if all_cases else FEW
    tried = sensitive = 0
    with own_network.inside(), started(topologies, seed, cases, under=ALONE) as process:
        for seen in received(process):
            found = topologies.disagreements(seen)
            assert not found, f"seed {seed}\n" + "\n".join(found[:10])
            tried += len(seen.logs)
            reached = seen.reached["stopped"].values()
            sensitive += sum(bool(topologies.really(each)[topologies.SENSITIVE]) for each in reached)
    assert process.returncode == 0
    assert tried == cases
    assert 0 < sensitive < cases
