"""Locate the engine's files on this host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import boolean

from hardener.checks.lib import mounttable
from hardener.checks.lib.settings import Settings, api_hosts
from hardener.snapshot import FactAbsent, FactUnavailable, JSONObject, Snapshot

CONTAINERD_ROOT = "/var/lib/containerd"
_SNAPSHOTTER = ["driver-type", "io.containerd.snapshotter.v1"]
_REMAPPED = re.compile(r"/\d+\.\d+$")


def exists(snapshot: Snapshot, path: str) -> bool:
    """Return whether a path exists; a collected file below a folder proves that the folder exists.

    Raises:
        FactUnavailable: the path was not collected.
    """
    files = snapshot.fact("files")
    if path in files:
        return snapshot.file(path) is not None
    if any(record and name.startswith(f"{path}/") for name, record in files.items()):
        return True
    raise FactUnavailable("files", f"{path} was not collected")


def real(snapshot: Snapshot, path: str) -> str:
    """Resolve the symbolic links in a path that the collector has recorded."""
    record = snapshot.fact("files").get(path)
    return str((record and record.get("target")) or path)


def closed_folder(snapshot: Snapshot, path: str) -> str:
    """Return the folder above a path that only root, or a rootless daemon's user, can search; else empty.

    No other user reaches what is below such a folder, whatever its mode, unless a mount shows it elsewhere.
    Folders that were not collected count as open, and so do all in snapshots without the order of mounts.
    """
    place = real(snapshot, path)
    closed = _closed_above(snapshot, place)
    host = mounttable.host(snapshot) if closed else None
    location = host and host.table.locate(place)
    if not (host and location):
        return ""
    return closed if all(_closed_above(snapshot, name) for name, _ in host.table.names(location)) else ""


def _closed_above(snapshot: Snapshot, path: str) -> str:
    owners = (0, snapshot.fact("engine").get("euid") or 0)
    place = path
    while place not in ("/", ""):
        place = posixpath.dirname(place)
        record = snapshot.fact("files").get(place) or {}
        if record.get("type") == "dir" and record["uid"] in owners and not _others_search(record):
            return place
    return ""


def _others_search(record: JSONObject) -> bool:
    mode = int(record["mode"], 8)
    named = any(
        entry.get("id") is not None and "x" in str(entry.get("perms")) for entry in record.get("acl") or ()
    )
    return bool(named or mode & 0o001 or (mode & 0o010 and record["gid"] != 0))


def unit(snapshot: Snapshot, name: str) -> JSONObject | None:
    """Return the properties of a loaded systemd unit, else ``None``."""
    try:
        found: JSONObject | None = snapshot.fact("units").get(name)
    except FactAbsent:
        return None
    return found if found and found.get("LoadState") == "loaded" else None


def unit_files(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    """Return the file and the drop-ins of a systemd unit; none for a missing unit."""
    loaded = unit(snapshot, name) or {}
    return tuple(path for path in (loaded.get("FragmentPath"), *(loaded.get("DropInPaths") or ())) if path)


def api_sockets(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the existing Unix sockets of the API: the one that answers, and the declared ones."""
    engine = snapshot.fact("engine")
    hosts = api_hosts(snapshot, Settings(snapshot))
    declared = [host.removeprefix("unix://") for host in hosts if host.startswith("unix://")]
    answering = [engine["socket"]] if engine.get("socket") else []
    sockets: dict[str, str] = {}
    for path in (*answering, *declared):
        if exists(snapshot, path):
            sockets.setdefault(real(snapshot, path), path)
    return tuple(sockets.values())


def containerd_socket(snapshot: Snapshot) -> str:
    """Return the socket of the engine's containerd; empty if containerd is part of the daemon."""
    if _embeds_containerd(snapshot):
        return ""
    return str(snapshot.fact("engine").get("containerd_socket") or "/run/containerd/containerd.sock")


def _embeds_containerd(snapshot: Snapshot) -> bool:
    """Return whether containerd is part of the daemon's process, as engines from 29.7 on allow."""
    if snapshot.fact("engine").get("containerd_pid") is not None:
        return False
    features = Settings(snapshot).get("features").value
    if isinstance(features, list):
        given = dict(str(feature).partition("=")[::2] for feature in features)
        features = {name: not value or boolean(value) for name, value in given.items()}
    return isinstance(features, Mapping) and features.get("embedded-containerd") is True


def config_folder(snapshot: Snapshot) -> str:
    """Return the daemon's configuration folder: ``/etc/docker``, or that of a rootless daemon's user."""
    if snapshot.fact("engine").get("rootless"):
        return posixpath.dirname(Settings(snapshot).path)
    return "/etc/docker"


def data_root(snapshot: Snapshot) -> str:
    """Return the engine's data root, without the part that userns-remap adds.

    From the running engine; from its configuration where it does not answer.
    """
    try:
        root = str(snapshot.info["DockerRootDir"])
    except FactUnavailable:
        root = real(snapshot, str(Settings(snapshot).text("data-root").value))
    return _REMAPPED.sub("", root)


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
