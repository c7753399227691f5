"""Compose services as containers. tests/integration/test_workload_check.py compares with a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.workload import declared


def container(service: dict[str, Any]) -> dict[str, Any]:
    project = {"name": "shop", "services": {"web": service}}
    snapshot = declared.snapshot(project, lambda _: "", host="here")
    inspected: dict[str, Any] = snapshot.containers[0]["inspect"]
    return inspected


def test_use_of_the_api_socket_is_a_mount() -> None:
    (mount,) = container({"use_api_socket": True})["Mounts"]
    assert (mount["Source"], mount["RW"]) == ("/var/run/docker.sock", True)


def test_reads_devices_as_text() -> None:
    devices = container({"devices": ["/dev/fuse", "/dev/null:/dev/other:r"]})["HostConfig"]["Devices"]
    assert [tuple(each.values()) for each in devices] == [
        ("/dev/fuse", "/dev/fuse", "rwm"),
        ("/dev/null", "/dev/other", "r"),
    ]


@pytest.mark.parametrize(
    "service", [{"volumes": ["data:/data"]}, {"deploy": [1]}, {"ports": ["80"]}, {"cpus": "many"}, []]
)
def test_names_the_version_for_unknown_forms(service: Any) -> None:
    with pytest.raises(HardenerError, match="unknown form"):
        container(service)
