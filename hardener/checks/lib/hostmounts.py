"""Determine which host paths a container mounts: by location, or by name if locations are unknown.

The device and root of each mount in the container's mountinfo are compared with the host's mountinfo. For a
stopped container the mounts in its configuration are looked up in the host's table. Snapshots of earlier
collectors have neither, and are judged by the paths that the engine reports.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import default_of
from ansible_collections.hardener.docker.plugins.module_utils.docker.runtimes import KERNEL_MOUNTS

from hardener.checks.lib import fields, mounttable
from hardener.checks.lib.containers import SOURCE, Container
from hardener.checks.lib.mounttable import Host, Location, Mount, MountTable, joined, relative, within
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_NETWORK = frozenset({"9p", "ceph", "cifs", "glusterfs", "nfs", "nfs4", "smb3"})
_NETWORK_FILES = frozenset({"hostname", "hosts", "resolv.conf"})
_INIT = frozenset({"/sbin/docker-init", "/dev/init"})
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of an IPC namespace
# Filesystems of which the kernel has one: they show the host's, wherever they are mounted.
_KERNELS = frozenset(
    {
        "binfmt_misc",
        "configfs",
        "debugfs",
        "devtmpfs",
        "efivarfs",
        "pstore",
        "securityfs",
        "selinuxfs",
        "tracefs",
    }
)
_LAYERS = ("lowerdir=", "lowerdir+=", "datadir+=", "upperdir=")


@dataclass(frozen=True, slots=True)
class HostMount:
    """A mount of a container that shows files, devices or kernel filesystems of the host."""

    declared: str  # the path that the engine was given, or the host's first path for it
    destination: str
    writable: bool
    names: tuple[str, ...]  # all paths of the host that show the same
    socket: tuple[object, object] | None = None  # device and inode, of a socket
    node: str = ""  # "b 8:0" of a device node
    by_runtime: bool = False  # added without a request to the engine
    kernels: str = ""  # type of a filesystem of which the kernel has one
    _view: _View | None = None

    @property
    def by_location(self) -> bool:
        """Return whether the location of the mount is known, not only its name."""
        return self._view is not None

    def holds(self, location: Location) -> bool:
        """Return whether a file or folder of the host is reachable through the mount."""
        return self._view is not None and self._view.holds(location)

    def is_inside(self, location: Location) -> bool:
        """Return whether the mount shows the folder at a location of the host, or a path below it."""
        return self._view is not None and any(shown.within(location) for shown in self._view.locations)

    def is_what_was(self, location: Location) -> bool:
        """Return whether the mount shows a file that has since been removed from a location."""
        return self._view is not None and self._view.mount.deleted and self._view.mount.location == location

    def described(self, name: str = "") -> str:
        """Return ``mounts /srv/data (which is /run) read-write at /d``."""
        where = self.declared if not name or name == self.declared else f"{self.declared} (which is {name})"
        return f"mounts {where} {'read-write' if self.writable else 'read-only'} at {self.destination}"


class _View(NamedTuple):
    """A mount in a container's mount table, with every location that it shows."""

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
    known = _known(container.snapshot)
    if id(container) not in known:
        known[id(container)] = _Mounts(container)
    found = known[id(container)]
    yield from found.mounts
    if found.error:
        raise found.error


@lru_cache(maxsize=1)
def _known(_snapshot: Snapshot) -> dict[int, _Mounts]:
    """Return the cache of the mounts of a snapshot's containers, by the ``id()`` of each container."""
    return {}


class _Mounts:
    """A container's mounts of the host; ``error`` tells why some are missing, None if all are known."""

    def __init__(self, container: Container) -> None:
        self._container = container  # kept, so that no other object gets its identity
        self.mounts: list[HostMount] = []
        self.error: FactUnavailable | None = None
        try:
            self.mounts.extend(_find(container))
        except FactUnavailable as error:
            self.error = error


def _find(container: Container) -> Iterator[HostMount]:
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
    files = snapshot.fact("files")
    record = files.get(path) or files.get(posixpath.normpath(path))
    target = record.get("target") if isinstance(record, Mapping) else None
    return clean(target if isinstance(target, str) and target else path)


def inode(record: object) -> tuple[object, object] | None:
    """Return device and inode of a socket; None for any other record."""
    if not isinstance(record, Mapping) or record.get("type") != "socket" or not record.get("ino"):
        return None
    return record.get("dev"), record["ino"]


def clean(path: str) -> str:
    """Normalise a path: no ``..``, no double slash, and /run for its old name /var/run."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path.removeprefix("/var") if within(path, "/var/run") else path


# --- by what is mounted -------------------------------------------------------------------------------------


def _by_location(container: Container, host: Host, table: MountTable) -> Iterator[HostMount]:
    declared = _requested(container, host, table)
    data_root = _data_root(container.snapshot)
    for mount in table.mounts.values():
        if table.at(mount.point) is not mount:
            continue  # hidden by another mount
        under = next((at for at in declared if within(mount.point, at)), None)
        if under is None and (mount.point == "/" or mount.point in _INIT or _pseudo(mount, host)):
            continue
        # The engine mounts those for a volume where it is itself.
        of_a_volume = mount.point in declared and mount.fstype in KERNEL_MOUNTS.keys() - {"tmpfs"}
        kernels = mount.fstype if mount.fstype in _KERNELS or of_a_volume else ""
        shown = tuple(host.expanded(mount.location, table))
        found = {name: on for each in shown for name, on in host.table.names(each)}
        names = [name for name, on in found.items() if not _inside_engine(on.point, data_root)]
        row = declared.get(mount.point)
        if not kernels and _engines_own(
            container, row, names or list(found), data_root, asked_for=under is not None
        ):
            continue
        source = clean(_device(container.snapshot, row) or fields.text(row, "Source", SOURCE)) if row else ""
        record = container.snapshot.fact("files").get(fields.text(row, "Source", SOURCE)) if row else None
        yield HostMount(
            declared=source or next(iter(sorted(names, key=len)), f"{mount.device}:{mount.root}"),
            destination=mount.point,
            writable=mount.writable,
            names=tuple(names),
            socket=inode(record),
            node=str(record.get("node") or "") if isinstance(record, Mapping) else "",
            by_runtime=under is None,
            kernels=kernels,
            _view=_View(mount, table, shown),
        )


def _requested(container: Container, host: Host, table: MountTable) -> dict[str, JSONObject]:
    """Return the engine's entry of each requested mount by its mount point.

    That is not the destination where a symbolic link of the image leads elsewhere (``/var/run`` to ``/run``):
    then the entry is found by what it mounts.
    """
    rows = {clean_destination(row): row for row in _rows(container)}
    points = {mount.point for mount in table.mounts.values()}
    for row in [row for point, row in rows.items() if point not in points]:
        source = fields.text(row, "Source", SOURCE)
        location = host.table.locate(real(container.snapshot, source)) if source.startswith("/") else None
        for mount in table.mounts.values():
            if location is not None and mount.location == location:
                rows.setdefault(mount.point, row)
    return rows


def _inside_engine(point: str, data_root: str) -> bool:
    """Return whether a mount point is below the engine's folders, where mounts only repeat other content."""
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


def _pseudo(mount: Mount, host: Host) -> bool:
    """Return whether the runtime creates this mount in every container, without content of the host."""
    if not any(within(mount.point, folder) for folder in KERNEL_MOUNTS.get(mount.fstype, ())):
        return False
    nodes = host.table.locate("/dev")
    own = not host.table.has(mount.device) or (nodes is not None and mount.device == nodes.device)
    return mount.fstype != "tmpfs" or mount.point == _SHARED_MEMORY or own


def _data_root(snapshot: Snapshot) -> str:
    root = fields.text(snapshot.info, "DockerRootDir", "docker.info")
    return real(snapshot, root) if root else str(default_of("data-root"))


# --- what a configuration would mount -----------------------------------------------------------------------


class _Source(NamedTuple):
    """A folder, device or filesystem that a configured mount would show."""

    offset: str = ""  # its path below the destination
    location: Location | None = None
    layers: tuple[str, ...] = ()
    fstype: str = ""
    deleted: bool = False  # the location is that of a file before it was removed


def _configured(container: Container, host: Host) -> MountTable:
    """Return the mount table that the container would get with the host's current mounts."""
    table = MountTable([Mount(0, -1, "/", "/", "", fstype="overlay")])
    for row in sorted(_rows(container), key=lambda row: clean_destination(row).count("/")):
        point, writable = clean_destination(row), row.get("RW") is not False
        for source in _sources(container, host, row):
            at = joined(point, source.offset)
            below = table.at(at)
            number = len(table.mounts)
            device, path = source.location or (f"configured {number}", "/")
            mount = Mount(number, below.id if below else 0, at, path, device, writable, source.fstype)
            table.add(mount._replace(layers=source.layers, deleted=source.deleted))
    return table


def _sources(container: Container, host: Host, row: JSONObject) -> Iterator[_Source]:
    """Yield the folders, devices and filesystems that a configured mount would show."""
    snapshot = container.snapshot
    asked = _asked(container, row)
    recursive = not fields.table(asked, "BindOptions", SOURCE).get("NonRecursive")
    if row.get("Type") == "volume":
        options = _options(snapshot, row)
        device, flags = str(options.get("device") or ""), str(options.get("o") or "").split(",")
        fstype = str(options.get("type") or "")
        if fstype == "overlay":
            folders = [flag.partition("=")[2] for flag in flags if flag.startswith(_LAYERS)]
            layers = tuple(real(snapshot, path) for each in folders for path in each.split(":") if path)
            yield _Source(layers=layers)
            return
        if fstype in _KERNELS or (fstype in KERNEL_MOUNTS and fstype != "tmpfs"):
            yield _Source(location=host.table.whole(fstype), fstype=fstype)
            return
        record = snapshot.fact("files").get(device)
        node = str(record.get("node") or "") if isinstance(record, Mapping) else ""
        if node.startswith("b ") and "bind" not in flags:
            yield _Source(location=Location(node[2:], "/"))
            return
        source = _device(snapshot, row)
        if source:
            recursive = "rbind" in flags
        elif not device:  # in the engine's own folder, or where its driver says
            source = fields.text(row, "Source", SOURCE)
    elif row.get("Type") in {"bind", None, ""} and not row.get("Name"):
        source = fields.text(row, "Source", SOURCE)
    else:
        return
    if not source.startswith("/"):
        return
    path = real(snapshot, source)
    below = fields.text(fields.table(asked, "VolumeOptions", SOURCE), "Subpath", SOURCE)
    below = clean_path(below).lstrip("/")
    if recursive:  # otherwise the volume has none of the mounts on its device
        # The engine mounts a subpath without what is mounted below it.
        path, recursive, below = joined(path, below), not below, ""
    location = host.table.locate(path)
    if location is None:
        return
    at = host.table.at(path)
    deleted = at is not None and at.deleted and at.point == path
    yield _Source(location=Location(location.device, joined(location.path, below)), deleted=deleted)
    for mount in host.table.below(path) if recursive else ():
        yield _Source(relative(mount.point, path), mount.location, fstype=mount.fstype, deleted=mount.deleted)


def _asked(container: Container, row: JSONObject) -> JSONObject:
    """Return the entry of ``HostConfig.Mounts`` that requests a mount; empty if another option does."""
    for asked in fields.rows(container.host_config, "Mounts", SOURCE):
        if clean_path(fields.text(asked, "Target", SOURCE)) == clean_destination(row):
            return asked
    return {}


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
    """Return the options of a local volume; empty for a volume in the engine's own folder."""
    name = fields.text(row, "Name", SOURCE)
    for volume in snapshot.fact("docker.volumes"):
        if volume.get("Name") == name:
            return fields.table(volume, "Options", "docker.volumes")
    return {}


def _device(snapshot: Snapshot, row: JSONObject) -> str:
    """Return the host path or device of a local volume."""
    options = _options(snapshot, row)
    return "" if options.get("type") in _NETWORK else str(options.get("device") or "")
