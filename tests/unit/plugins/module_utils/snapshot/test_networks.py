"""Networks of an engine that does not tell of each what its list tells of all."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import docker

from tests.unit.plugins.module_utils.snapshot import servers

NAMES = ("bridge", "app", "host")
CONTAINERS = {"c" * 64: {"Name": "web"}}
SPOILED = {
    "hangs": b"",
    "is cut": servers.CUT,
    "is an error of the engine": servers.http(b'{"message":"no such driver"}', "500 Error"),
    "is none": servers.http(b"{}"),
    "is no JSON": servers.http(b"{"),
}


def network(name: str) -> dict[str, Any]:
    """What the list tells of a network."""
    return {
        "Id": f"{name}-id",
        "Name": name,
        "Driver": "bridge",
        "Scope": "local",
        "Options": {"com.docker.network.bridge.name": f"br-{name}"},
        "Labels": {"password": "planted"},
    }


def networks(
    folder: Path, listed: list[dict[str, Any]], bad: Collection[str], answer: bytes, hangs: threading.Event
) -> Any:
    """What is collected where some networks cannot be inspected."""

    def no_systemd() -> None:
        raise Absent("systemd does not run on this host")

    bodies = {"/_ping": b"OK", "/v1.51/networks": json.dumps(listed).encode()}
    for name in NAMES:
        inspected = {**network(name), "Containers": CONTAINERS}
        bodies[f"/v1.51/networks/{name}-id"] = json.dumps(inspected).encode()
    paths = [f"/v1.51/networks/{name}-id" for name in bad]
    with servers.serving(folder / "s", servers.spoiled(bodies, paths, answer, hangs)) as path:
        found = engine.find(Once(processes.scan), Once(no_systemd), path)
        return docker.networks(found, Redactor())


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    monkeypatch.setattr(docker, "_LEAST", 0.2)
    monkeypatch.setattr(docker, "_SHARE", 1000)
    return servers.only_hangs_count(monkeypatch)


@pytest.mark.parametrize("answer", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("bad", [NAMES[:1], NAMES[1:2], NAMES[:2]], ids=len)
def test_a_network_that_cannot_be_inspected_is_known_from_the_list(
    tmp_path: Path, hangs: threading.Event, answer: bytes, bad: Collection[str]
) -> None:
    found = networks(tmp_path, [network(name) for name in NAMES], bad, answer, hangs)
    assert [each["Name"] for each in found] == sorted(NAMES)
    for each in found:
        assert each["Options"] == network(each["Name"])["Options"]
        assert ("Containers" in each) is (each["Name"] not in bad)
        assert "planted" not in json.dumps(each)


@pytest.mark.parametrize("answer", SPOILED.values(), ids=SPOILED)
def test_a_network_with_an_incomplete_list_entry_is_an_error(
    tmp_path: Path, hangs: threading.Event, answer: bytes
) -> None:
    listed = [network(name) for name in NAMES]
    del listed[1]["Driver"]
    with pytest.raises(Failed):
        networks(tmp_path, listed, NAMES[1:2], answer, hangs)
