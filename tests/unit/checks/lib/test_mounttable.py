"""The sources of locations in generated mount tables of hosts, also of hosts that are containers."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from hardener.checks.lib.mounttable import Host, Location
from hardener.snapshot import FactUnavailable
from tests.unit.snapshots import make, only


def host(*mounts: dict[str, Any]) -> Host:
    return Host(make(mounts=only(list(mounts)), block_devices=only({})))


def overlay(number: int, parent: int, point: str, layers: list[str]) -> dict[str, Any]:
    return {
        "id": number,
        "parent": parent,
        "mount_point": point,
        "root": "/",
        "device": f"0:{number}",
        "options": "rw",
        "fstype": "overlay",
        "layers": layers,
    }


def test_layers_of_a_containers_root_are_outside_of_its_mount_namespace() -> None:
    layers = [f"/var/lib/docker/overlay2/{number}/diff" for number in range(128)]
    location = Location("0:1", "/etc")
    assert host(overlay(1, 0, "/", layers)).expanded(location) == [location]


@pytest.mark.parametrize("seed", range(20))
def test_sources_are_bounded_or_refused(seed: int) -> None:
    """Any tree of overlays over each other's folders, as a host without a limit could report it."""
    choice = random.Random(seed)
    points = ["/", *(f"/o{number}" for number in range(choice.randint(1, 8)))]
    folders = [f"{point}/{number}".replace("//", "/") for point in points for number in range(40)]
    tables = [
        overlay(number, min(number - 1, 1), point, choice.sample(folders, choice.randint(1, 40)))
        for number, point in enumerate(points, start=1)
    ]
    with suppress(FactUnavailable):
        found = host(*tables).expanded(Location("0:2", "/etc"))
        assert len(set(found)) == len(found) <= 10_000


def test_refuses_to_follow_too_many_sources() -> None:
    folders = [f"/o{number}/{layer}" for number in range(4) for layer in range(30)]
    overlays = [overlay(2 + number, 1, f"/o{number}", folders) for number in range(4)]
    with pytest.raises(FactUnavailable, match="more than 10000 sources"):
        host(overlay(1, 0, "/", []), *overlays).expanded(Location("0:2", "/etc"))
