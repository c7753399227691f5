"""Locate the engine's files on this host."""

from __future__ import annotations

from collections.abc import Sequence

from hardener.checks.lib.settings import Facts
from hardener.snapshot import JSONObject, Snapshot

CONTAINERD_ROOT = "/var/lib/containerd"
_SNAPSHOTTER = ["driver-type", "io.containerd.snapshotter.v1"]


def unit(snapshot: Snapshot, name: str) -> JSONObject:
    """Return the properties of a loaded systemd unit, empty for another one."""
    return Facts(snapshot).unit(name)


def closed_folder(snapshot: Snapshot, path: str) -> str:
    """Return the folder above a path that only root, or a rootless daemon's user, can search; else empty."""
    return Facts(snapshot).closed_folder(path)


def api_sockets(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the existing Unix sockets of the API: the one that answers, and the declared ones."""
    return tuple(Facts(snapshot).api_sockets())


def data_root(snapshot: Snapshot) -> str:
    """Return the engine's data root, without the folder that userns-remap adds."""
    return Facts(snapshot).data_root


def uses_containerd_store(snapshot: Snapshot) -> bool:
    """Return whether the engine keeps images in the store of containerd, outside its own data root."""
    return _SNAPSHOTTER in (snapshot.info.get("DriverStatus") or ())


def image_roots(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the data root, and the image folder of the containerd store if the engine answers."""
    beside = snapshot.fact("engine").get("reachable") and uses_containerd_store(snapshot)
    return (data_root(snapshot), CONTAINERD_ROOT) if beside else (data_root(snapshot),)


def mount_of(mounts: Sequence[JSONObject], path: str) -> JSONObject | None:
    """Return the mount of a path: the longest mount point, and of several mounts there the last."""
    found: JSONObject | None = None
    longest = -1
    for mount in mounts:
        point = str(mount["mount_point"]).rstrip("/")
        if f"{path}/".startswith(f"{point}/") and len(point) >= longest:
            found, longest = mount, len(point)
    return found
