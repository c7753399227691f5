"""A host's mounts and disks, for checks that compare locations."""

from __future__ import annotations

from typing import Any


def at(number: int, parent: int, point: str, device: str, root: str = "/", **more: Any) -> dict[str, Any]:
    """An entry of a mount table."""
    return {
        "id": number,
        "parent": parent,
        "mount_point": point,
        "root": root,
        "device": device,
        "fstype": "ext4",
        "source": "none",
        "options": "rw",
        "propagation": "private",
        **more,
    }


HOST = [
    at(1, 0, "/", "8:1"),
    at(2, 1, "/run", "0:26"),
    at(3, 1, "/dev", "0:6", fstype="devtmpfs"),
    at(4, 1, "/proc", "0:23", fstype="proc"),
    at(5, 1, "/home", "8:3"),
    at(6, 1, "/srv/vg", "253:0"),
]
DISKS = {
    "8:0": {"name": "sda"},
    "8:1": {"name": "sda1", "disk": "8:0"},
    "8:3": {"name": "sda3", "disk": "8:0"},
    "8:16": {"name": "sdb"},
    "8:32": {"name": "sdc"},
    "253:0": {"name": "dm-0", "stands_on": ["8:16"]},
    "7:0": {"name": "loop0", "file": "/dev/sda1"},
}
