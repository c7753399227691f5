"""What the tests of the history's commands share: hosts that fail or pass one control, audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from click.testing import Result

from hardener.history import History, StoredRun
from hardener.snapshot import Snapshot
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import make

Hardener = Callable[..., Result]

DAEMON_JSON = {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "owner": "root", "group": "root"}
DRIFT = ("drift", "-i", "inv,")


def host(mode: str = "0644", **sources: Any) -> Snapshot:
    """A host whose daemon.json has this mode: more than 0644 fails."""
    return make(files={"/etc/docker/daemon.json": {**DAEMON_JSON, "mode": mode}}, **sources)


def repairing(fleet: FakeFleet, **answer: Any) -> list[str]:
    """A transaction that repairs the host, unless the answer says otherwise; who was repaired."""
    repaired = []

    def converge(name: str) -> dict[str, Any]:
        repaired.append(name)
        if not answer:
            fleet.snapshots[name] = host()
        return {"outcome": "changed", "changed": True, "msg": "changed /etc/docker/daemon.json", **answer}

    fleet.converge = converge
    return repaired


def audited(
    hardener: Hardener, fleet: FakeFleet, snapshots: Mapping[str, Snapshot | str], *options: str
) -> Result:
    """An audit of these hosts."""
    fleet.snapshots = dict(snapshots)
    return hardener("audit", "-i", "inv,", *options)


def kept(home: Path) -> list[StoredRun]:
    """The runs, the newest first."""
    return list(History(home).runs())
