"""What the judges say of mounts, compared with what a container can look up: see topologies."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.integration.namespaces import OwnNetwork

FEW, MANY = 30, 1000
# What it mounts is nobody else's, and what it starts ends with it.
ALONE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")


def test_what_containers_reach_of_the_host(
    seed: int, all_cases: bool, own_network: OwnNetwork | None
) -> None:
    if own_network is None:
        pytest.fail("tests against a real dockerd need root", pytrace=False)
    cases = MANY if all_cases else FEW
    program = [sys.executable, "-m", "tests.oracles.topologies", str(seed), str(cases)]
    with own_network.inside():
        ended = subprocess.run(
            [*ALONE, *program],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["disagreements"] == [], "\n".join(found["disagreements"][:10])
    assert found["tried"] == cases
    assert 0 < found["sensitive"] < cases
