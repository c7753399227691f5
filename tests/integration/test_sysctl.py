"""Kernel settings of a network namespace: what this very kernel makes of them, and of undoing them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from tests.integration.namespaces import Space
from tests.unit.plugins.loading import COLLECTIONS

NETWORK = {
    setting.key: setting.value
    for setting in sysctls.baseline()
    if setting.key.startswith(("net.ipv4.conf.", "net.ipv6.conf."))
}
FORWARD = "net.ipv4.ip_forward"

# What an activation does here, and what is so before, after, and when another process has undone it.
_RUN = """
import glob, json, sys
from ansible_collections.hardener.docker.plugins.module_utils.converge import files
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.sysctl import Sysctl
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan

def state():
    found = {}
    for path in glob.glob("/proc/sys/net/ipv[46]/conf/*/*") + ["/proc/sys/net/ipv4/ip_forward"]:
        if path.endswith("stable_secret"):
            continue
        with open(path) as file:
            found[path[len("/proc/sys/"):]] = file.read().strip()
    return found

settings = json.load(sys.stdin)
plan = Plan([], bookkeeping_file="/nowhere/ownership.json", read=files.read)
report = {"before": state()}
activation = Sysctl(settings)
activation.prepare(plan)
report["due"] = activation.due
activation.perform()
report["problems"] = activation.problems()
report["after"] = state()
again = Sysctl(settings)
again.prepare(plan)
report["again"] = again.due
other = Sysctl(settings)
other.memory = json.loads(json.dumps(activation.memory))
report["undo"] = other.undo()
report["back"] = state()
json.dump(report, sys.stdout)
"""


@pytest.fixture
def space() -> Iterator[Space]:
    if os.geteuid() != 0:
        pytest.fail("only root may make network namespaces", pytrace=False)
    with Space() as made:
        made.run("ip", "link", "add", "eth0.7", "type", "veth", "peer", "name", "eth1")
        yield made


def run(space: Space, **settings: Any) -> dict[str, Any]:
    given = json.dumps({"when": [], **settings})
    output = space.run(sys.executable, "-c", _RUN, given=given, PYTHONPATH=str(COLLECTIONS))
    found: dict[str, Any] = json.loads(output)
    return found


def differing(one: dict[str, str], other: dict[str, str]) -> dict[str, tuple[str, str | None]]:
    return {key: (value, other.get(key)) for key, value in one.items() if other.get(key) != value}


@pytest.mark.parametrize("forwards", ["0", "1"])
def test_every_interface_gets_the_baseline_and_a_rollback_restores_all_values(
    space: Space, forwards: str
) -> None:
    space.run("sh", "-c", f"echo {forwards} > /proc/sys/net/ipv4/ip_forward")
    found = run(space, values=NETWORK, needed={FORWARD: "1"})
    assert found["due"]
    assert found["problems"] == []
    after = found["after"]
    assert after["net/ipv4/ip_forward"] == "1"
    for interface in ("all", "default", "eth0.7", "eth1", "lo"):
        assert after[f"net/ipv4/conf/{interface}/send_redirects"] == "0"
        assert after[f"net/ipv4/conf/{interface}/accept_redirects"] == "0"
        assert after[f"net/ipv6/conf/{interface}/accept_redirects"] == "0"
    assert not found["again"]
    assert found["undo"] == []
    assert differing(found["before"], found["back"]) == {}


def test_a_network_interface_added_after_the_run_gets_the_baseline(space: Space) -> None:
    run(space, values=NETWORK)  # and back
    script = "; ".join(
        f"echo {value} > /proc/sys/{key.replace('.', '/')}"
        for key, value in NETWORK.items()
        if "*" not in key
    )
    space.run("sh", "-c", script)
    space.run("ip", "link", "add", "eth2", "type", "veth", "peer", "name", "eth3")
    assert not run(space, values={key.replace("*", "eth2"): value for key, value in NETWORK.items()})["due"]
