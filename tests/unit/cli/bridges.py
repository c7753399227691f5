"""Hosts that fail or pass one control, and transactions that repair it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hardener.snapshot import Snapshot
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import make

ONLY = ("--only", "daemon-icc-disabled")
DIGEST = "0123456789abcdef" * 4


def bridge(*, icc: bool) -> Snapshot:
    """A host whose default bridge lets containers talk, or not."""
    base = make().raw["sources"]["docker.networks"]["data"]
    networks = json.loads(json.dumps(base))
    for network in networks:
        if network["Name"] == "bridge":
            network["Options"]["com.docker.network.bridge.enable_icc"] = "true" if icc else "false"
    return make(**{"docker.networks": networks})


def changing(fleet: FakeFleet, **answer: Any) -> Callable[[str], dict[str, Any]]:
    """A transaction that repairs the host, unless the answer says otherwise."""

    def converge(host: str) -> dict[str, Any]:
        if not answer.get("failed"):
            fleet.snapshots[host] = bridge(icc=False)
        return {"outcome": "changed", "changed": True, "msg": "changed /etc/docker/daemon.json", **answer}

    return converge


def answer(state: str, impact: str = "daemon-restart", reason: str = "") -> dict[str, Any]:
    document = {"name": "docker_daemon_icc", "state": state, "impact": impact, "reason": reason, "paths": []}
    return {"documents": [document], "allow": "daemon-restart", "plan": DIGEST}
