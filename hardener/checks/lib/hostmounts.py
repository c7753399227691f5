"""Determine which host paths a container mounts: by location, or by name if locations are unknown.

The device and root of each mount in the container's mountinfo are compared with the host's mountinfo. For a
stopped container the mounts in its configuration are looked up in the host's table. Snapshots of earlier
collectors have neither, and are judged by the paths that the engine reports.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import default_of

from hardener.checks.lib import fields, mounttable
from hardener.checks.lib.containers import SOURCE, Container
from hardener.checks.lib.mounttable import Host, Location, Mount, MountTable, joined, relative, within
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_NETWORK = frozenset({"9p", "ceph", "cifs", "glusterfs", "nfs", "nfs4", "smb3"})
_RUNTIMES_OWN = ("/proc", "/sys", "/dev")
_PSEUDO = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "tmpfs"})
_NETWORK_FILES = frozenset({"hostname", "hosts", "resolv.conf"})
_INIT = frozenset({"/sbin/docker-init", "/dev/init"})


@dataclass(frozen=True, slots=True)
class HostMount:
    """A mount of a container that shows something of the host."""

    declared: str  # the path that the engine was given, or the host's first path for it
    destination: str
    writable: bool
    names: tuple[str, ...]  # all paths of the host that show the same
    socket: tuple[object, object] | None = None  # device and inode, of a socket
    node: str = ""  # "b 8:0" of a device node
    by_runtime: bool = False  # added without a request to the engine
    _view: _View | None = None

    @property
    def by_location(self) -> bool:
        """Return whether the location of the mount is known, not only its name."""
        return self._view is not None

    def holds(self, location: Location) -> bool:
        """Return whether a file or folder of the host is reachable through the mount."""
        return self._view is not None and self._view.holds(location)

    def is_inside(self, location: Location) -> bool:
        """Return whether the mount shows a path below a folder of the host."""
        return self._view is not None and any(shown.within(location) for shown in self._view.locations)

    def described(self, name: str = "") -> str:
        """Return ``mounts /srv/data (which is /run) read-write at /d``."""
        where = self.declared if not name or name == self.declared else f"{self.declared} (which is {name})"
        return f"mounts {where} {'read-write' if self.writable else 'read-only'} at {self.destination}"


class _View(NamedTuple):
    """A mount in its container's table, with every location that it shows."""

    mount: Mount
    table: MountTable
    locations: tuple[Location, ...]

    def holds(self, location: Location) -> bool:
        for shown in self.locations:
            if location.within(shown):
                path = joined(self.mount.point, relative(location.path, shown.path))
                # Mounts on top of it in the container hide it.
                if self.table.at(path) is self.mount:
                    return True
        return False


def host_mounts(container: Container) -> Iterator[HostMount]:
    """Return the container's mounts of the host.

    Raises:
        FactUnavailable: it has more mounts than were collected.
    """
    host = mounttable.host(container.snapshot)
    if host is None or (container.running and "mounts" not in (container.facts or {})):
        yield from _by_name(container)
        return
    if container.facts is None:
        yield from _by_location(container, host, _configured(container, host))
        return
    yield from _by_location(container, host, mounttable.table(container.fact("mounts")))
    if container.facts.get("mounts_truncated"):
        raise FactUnavailable(SOURCE, f"{container.name} has more mounts than were collected")


def real(snapshot: Snapshot, path: str) -> str:
    """Resolve the symbolic links in a path that the collector has recorded."""
    record = snapshot.fact("files").get(path)
    target = record.get("target") if isinstance(record, Mapping) else None
    return clean(target if isinstance(target, str) and target else path)


def inode(record: object) -> tuple[object, object] | None:
    """Return device and inode of a socket."""
    if not isinstance(record, Mapping) or record.get("type") != "socket" or not record.get("ino"):
        return None
    return record.get("dev"), record["ino"]


def clean(path: str) -> str:
    """Normalise a path: no ``..``, no double slash, and /run for its old name /var/run."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path.removeprefix("/var") if within(path, "/var/run") else path


# --- by what is mounted -------------------------------------------------------------------------------------


def _by_location(container: Container, host: Host, table: MountTable) -> Iterator[HostMount]:
    declared = {clean_destination(row): row for row in _rows(container)}
    data_root = _data_root(container.snapshot)
    for mount in table.mounts.values():
        if table.at(mount.point) is not mount:
            continue  # hidden by another mount
        under = next((at for at in declared if within(mount.point, at)), None)
        if under is None and (
            mount.point == "/" or mount.point in _INIT or _pseudo(mount) or not mount.device
        ):
            continue
        shown = tuple(host.expanded(mount.location, table))
        found = {name: on for each in shown for name, on in host.table.names(each)}
        names = [name for name, on in found.items() if not _inside_engine(on.point, data_root)]
        row = declared.get(mount.point)
        if _engines_own(container, row, names or list(found), data_root, asked_for=under is not None):
            continue
        source = clean(fields.text(row, "Source", SOURCE)) if row else ""
        if row and row.get("Type") == "volume":
            source = clean(_device(container.snapshot, row)) if _device(container.snapshot, row) else source
        record = container.snapshot.fact("files").get(fields.text(row, "Source", SOURCE)) if row else None
        yield HostMount(
            declared=source or next(iter(sorted(names, key=len)), f"{mount.device}:{mount.root}"),
            destination=mount.point,
            writable=mount.writable,
            names=tuple(names),
            socket=inode(record),
            node=str(record.get("node") or "") if isinstance(record, Mapping) else "",
            by_runtime=under is None,
            _view=_View(mount, table, shown),
        )


def _inside_engine(point: str, data_root: str) -> bool:
    """Return whether a mount point is in a folder of the engine, and so only repeats another folder."""
    roots = (data_root, "/var/lib/docker", "/var/lib/containerd", "/run/containerd", "/run/docker")
    return any(point != root and within(point, root) for root in roots)


def _engines_own(
    container: Container, row: JSONObject | None, names: Sequence[str], data_root: str, *, asked_for: bool
) -> bool:
    """Return whether a mount shows the engine's own files for the container: volume, hosts file, secrets."""
    if not asked_for:
        kept = f"{data_root}/containers"
        its = any(within(name, f"{kept}/{container.id}") for name in names)
        # A container in another one's network uses that one's files.
        return its or any(within(name, kept) and posixpath.basename(name) in _NETWORK_FILES for name in names)
    kind = row.get("Type") if row else "bind"
    if row is None or kind in {None, "", "bind"}:
        return False
    local = kind == "volume" and row.get("Driver") == "local"
    own = f"{data_root}/volumes/{fields.text(row, 'Name', SOURCE)}" if local else data_root
    return any(within(name, own) and name != data_root for name in names)


def _pseudo(mount: Mount) -> bool:
    return mount.fstype in _PSEUDO and any(within(mount.point, folder) for folder in _RUNTIMES_OWN)


def _data_root(snapshot: Snapshot) -> str:
    root = fields.text(snapshot.info, "DockerRootDir", "docker.info")
    return real(snapshot, root) if root else str(default_of("data-root"))


# --- what a configuration would mount -----------------------------------------------------------------------


def _configured(container: Container, host: Host) -> MountTable:
    """Return the mount table that the container would get with the host's current mounts."""
    table = MountTable([Mount(0, -1, "/", "/", "", fstype="overlay")])
    for row in sorted(_rows(container), key=lambda row: clean_destination(row).count("/")):
        point, writable = clean_destination(row), row.get("RW") is not False
        for offset, location, layers in _sources(container, host, row):
            at = joined(point, offset)
            below = table.at(at)
            number = len(table.mounts)
            device = location.device if location else f"configured {number}"
            path = location.path if location else "/"
            table.add(Mount(number, below.id if below else 0, at, path, device, writable, layers=layers))
    return table


def _sources(
    container: Container, host: Host, row: JSONObject
) -> Iterator[tuple[str, Location | None, tuple[str, ...]]]:
    """Return the sources of a mount: subpath of its destination, and its location or overlay layers."""
    snapshot = container.snapshot
    if row.get("Type") == "volume":
        options = _options(snapshot, row)
        device, flags = str(options.get("device") or ""), str(options.get("o") or "").split(",")
        if options.get("type") == "overlay":
            keys = ("lowerdir=", "upperdir=")
            folders = [flag.partition("=")[2] for flag in flags if flag.startswith(keys)]
            layers = tuple(real(snapshot, path) for each in folders for path in each.split(":") if path)
            yield "", None, layers
            return
        record = snapshot.fact("files").get(device)
        node = str(record.get("node") or "") if isinstance(record, Mapping) else ""
        if node.startswith("b ") and "bind" not in flags:
            yield "", Location(node[2:], "/"), ()
            return
        source, recursive = _device(snapshot, row), "rbind" in flags
    elif row.get("Type") in {"bind", None, ""} and not row.get("Name"):
        source, recursive = fields.text(row, "Source", SOURCE), not _non_recursive(container, row)
    else:
        return
    if not source.startswith("/"):
        return
    path = real(snapshot, source)
    location = host.table.locate(path)
    if location is None:
        return
    yield "", location, ()
    for mount in host.table.below(path) if recursive else ():
        yield relative(mount.point, path), mount.location, ()


def _non_recursive(container: Container, row: JSONObject) -> bool:
    for asked in fields.rows(container.host_config, "Mounts", SOURCE):
        if clean_path(fields.text(asked, "Target", SOURCE)) == clean_destination(row):
            return bool(fields.table(asked, "BindOptions", SOURCE).get("NonRecursive"))
    return False


def clean_destination(row: JSONObject) -> str:
    """Return the mount's normalised path in the container."""
    return clean_path(fields.text(row, "Destination", SOURCE))


def clean_path(path: str) -> str:
    """Normalise a path in a container: no ``..`` and no double slash."""
    return posixpath.normpath("/" + path.lstrip("/"))


# --- by name ------------------------------------------------------------------------------------------------


def _by_name(container: Container) -> Iterator[HostMount]:
    for row in _rows(container):
        kind = row.get("Type")
        # Engines before 17 report no type, and no volume name for a bind mount.
        if kind == "bind" or (not kind and not row.get("Name")):
            source = fields.text(row, "Source", SOURCE)
        else:
            source = _device(container.snapshot, row) if kind == "volume" else ""
        if not source.startswith("/"):
            continue
        record = container.snapshot.fact("files").get(source)
        yield HostMount(
            declared=clean(source),
            destination=fields.text(row, "Destination", SOURCE),
            writable=row.get("RW") is not False,
            names=(real(container.snapshot, source),),
            socket=inode(record),
            node=str(record.get("node") or "") if isinstance(record, Mapping) else "",
        )


def _rows(container: Container) -> Sequence[JSONObject]:
    return fields.rows(container.inspect, "Mounts", SOURCE)


def _options(snapshot: Snapshot, row: JSONObject) -> JSONObject:
    """Return the options of a local volume; empty for one in the engine's own folder."""
    name = fields.text(row, "Name", SOURCE)
    for volume in snapshot.fact("docker.volumes"):
        if volume.get("Name") == name:
            return fields.table(volume, "Options", "docker.volumes")
    return {}


def _device(snapshot: Snapshot, row: JSONObject) -> str:
    """Return the host path or device of a local volume."""
    options = _options(snapshot, row)
    return "" if options.get("type") in _NETWORK else str(options.get("device") or "")
