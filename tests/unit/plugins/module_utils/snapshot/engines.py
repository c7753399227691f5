"""Engines that answer as recorded ones did, behind a socket, but for what a test changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import engine
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import mounts
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.containers import Containers
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.scheduler import read
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.sources import EngineSources

from tests.unit.plugins.module_utils.snapshot.servers import engine as answering
from tests.unit.plugins.module_utils.snapshot.servers import serving

_SNAPSHOTS = Path(__file__).parents[4] / "fixtures" / "snapshots"
RECORDED = {"debian-12": "1.41", "debian-13": "1.45", "debian-testing": "1.51"}  # and the API of each
SWARM: Mapping[str, Any] = {
    "/swarm": {
        "ID": "s",
        "Spec": {"EncryptionConfig": {"AutoLockManagers": True}, "CAConfig": {"NodeCertExpiry": 1}},
        "JoinTokens": {"Worker": "SWMTKN-1-x"},
    },
    "/nodes": [{"ID": "n", "Spec": {"Role": "manager"}, "Status": {"State": "ready"}}],
    "/services": [{"ID": "v", "Spec": {"Name": "web"}}],
    "/secrets": [{"ID": "t", "Spec": {"Name": "key"}}],
}


def documents(name: str = "debian-13") -> dict[str, Any]:
    """What a recorded engine answers, by path; with a volume, a plugin and a swarm, which it did not have."""
    found: dict[str, Any] = deepcopy(_documents(name))
    return found


@cache
def _documents(name: str) -> dict[str, Any]:
    sources = json.loads((_SNAPSHOTS / f"{name}.json").read_bytes())["sources"]
    data = {source: entry.get("data") for source, entry in sources.items()}
    found = {
        "/version": data["docker.version"],
        "/info": {
            **data["docker.info"],
            "Swarm": {**data["docker.info"]["Swarm"], "LocalNodeState": "active", "ControlAvailable": True},
        },
        "/volumes": {"Volumes": [{"Name": "v", "Driver": "local", "Mountpoint": "/v", "Options": None}]},
        "/plugins": [{"Name": "p", "Enabled": True, "Config": {}}],
        "/networks": [{"Id": each["Id"]} for each in data["docker.networks"]],
        "/containers/json": [{"Id": each["inspect"]["Id"]} for each in data["docker.containers"]],
        "/images/json": [{"Id": each["inspect"]["Id"]} for each in data["docker.images"]],
        **SWARM,
    }
    found |= {f"/networks/{each['Id']}": each for each in data["docker.networks"]}
    for each in data["docker.containers"]:
        found[f"/containers/{each['inspect']['Id']}/json"] = each["inspect"]
    for each in data["docker.images"]:
        found[f"/images/{each['inspect']['Id']}/json"] = each["inspect"]
        found[f"/images/{each['inspect']['Id']}/history"] = each["history"]
    return found


def container(**changes: Any) -> dict[str, Any]:
    """A recorded container, changed."""
    paths = [path for path in _documents("debian-13") if path.startswith("/containers/") and "json" in path]
    return {**documents()[paths[-1]], **changes}


def bodies(answers: Mapping[str, Any], api: str = "1.45") -> dict[str, bytes]:
    """Answers as a server gives them; ``bytes`` are sent as they are."""
    found = {"/_ping": b"OK"}
    for path, answer in answers.items():
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        asked = f"{path}?all=1" if path == "/containers/json" else path
        found[path if path == "/version" else f"/v{api}{asked}"] = body
    return found


def sources(folder: Path, answers: Mapping[str, Any], api: str = "1.45") -> dict[str, dict[str, Any]]:
    """What the collector reads of an engine with these answers: each source's entry in the snapshot."""

    def no_systemd() -> None:
        raise Absent("systemd does not run on this host")

    with serving(folder / "s", answering(bodies(answers, api), api=api)) as path:
        running, known_units, redactor = Once(processes.scan), Once(no_systemd), Redactor()
        found = Once(lambda: engine.find(running, known_units, path))
        containers = Containers(found, Once(mounts.read), redactor).entry()
        plan = EngineSources(found, running, known_units, redactor).plan()
        entries = read([each for each in plan if each[0].startswith("docker.")])
    return {name: json.loads(entry) for name, entry in {"docker.containers": containers, **entries}.items()}
