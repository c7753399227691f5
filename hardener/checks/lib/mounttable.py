"""A mount table: what is mounted at a path, and which other paths show the same folder.

Bind mounts, overlays and volumes give a folder several paths. Its identity is its location: the filesystem's
device and the path within the filesystem, as in mountinfo.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_DEEPEST = 8  # limit of nested overlays
_MOST_SOURCES = 10_000  # of one location; a container in a container with 100 layers each has as many
_DELETED = "//deleted"  # appended by the kernel; what replaced the file is mounted at the next start


class Location(NamedTuple):
    """A file or folder of a filesystem."""

    device: str  # "8:1"
    path: str

    def within(self, other: Location) -> bool:
        """Return whether this location equals another, or lies below it on the same filesystem."""
        return self.device == other.device and within(self.path, other.path)


class Mount(NamedTuple):
    """One mount of a table."""

    id: int
    parent: int
    point: str
    root: str
    device: str
    writable: bool = True
    fstype: str = ""
    layers: tuple[str, ...] = ()
    deleted: bool = False  # the file has been removed from its folder since it was mounted

    @property
    def location(self) -> Location:
        """Return the location that the mount shows: a device, and a path in its filesystem."""
        return Location(self.device, self.root)


class MountTable:
    """The mounts of one mount namespace."""

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self.mounts: dict[int, Mount] = {}
        self._on: dict[tuple[int, str], Mount] = {}  # parent and mount point
        self._showing: dict[tuple[str, str], list[Mount]] = defaultdict(list)  # by device and root
        self._root: Mount | None = None
        self._layers: dict[str, tuple[str, ...]] = {}
        self._devices: set[str] = set()
        for mount in mounts:
            self.add(mount)
        roots = [mount for mount in self.mounts.values() if mount.parent not in self.mounts]
        self._root = next((mount for mount in roots if mount.point == "/"), None)

    def add(self, mount: Mount) -> None:
        """Add a mount on top of the existing mounts."""
        self.mounts[mount.id] = mount
        self._on[mount.parent, mount.point] = mount
        self._showing[mount.device, mount.root].append(mount)
        self._devices.add(mount.device)
        if mount.layers:
            self._layers[mount.device] = mount.layers

    def at(self, path: str, *, below: str = "") -> Mount | None:
        """Return the mount of a path; with ``below``, as if that device's filesystem were not mounted."""
        mount = self._root
        if mount is None:
            return None
        for prefix in _prefixes(path):
            while (upper := self._on.get((mount.id, prefix))) is not None and upper is not mount:
                if upper.device == below:
                    break
                mount = upper
        return mount

    def locate(self, path: str, *, below: str = "") -> Location | None:
        """Return the location of a path without symbolic links; None if only the device ``below`` has it."""
        mount = self.at(path, below=below)
        if mount is None or mount.device == below:
            return None
        return Location(mount.device, joined(mount.root, relative(path, mount.point)))

    def names(self, location: Location) -> Iterator[tuple[str, Mount]]:
        """Return every path that shows a location, with its mount."""
        for root in _prefixes(location.path):
            for mount in self._showing.get((location.device, root), ()):
                name = joined(mount.point, relative(location.path, root))
                if self.at(name) is mount:
                    yield name, mount

    def below(self, path: str) -> Iterator[Mount]:
        """Return the reachable mounts below a path, parents first."""
        for mount in self.mounts.values():
            if mount.point != path and within(mount.point, path) and self.at(mount.point) is mount:
                yield mount

    def has(self, device: str) -> bool:
        """Return whether the filesystem of a device is in the table."""
        return device in self._devices

    def whole(self, fstype: str) -> Location | None:
        """Return the location of the root of a filesystem of this type; None if no mount shows it."""
        mounts = (mount for mount in self.mounts.values() if mount.fstype == fstype and mount.root == "/")
        return next((mount.location for mount in mounts), None)

    def layers(self, device: str) -> tuple[str, ...]:
        """Return the folders of the overlay with this device."""
        return self._layers.get(device, ())


class Host:
    """The host's mount table, with the sources of its overlays and loop devices."""

    def __init__(self, snapshot: Snapshot) -> None:
        rows = snapshot.fact("mounts")
        if not all("id" in row for row in rows):
            raise FactUnavailable(
                "mounts", "the snapshot is of an earlier version, which did not store the order of mounts"
            )
        self.table = table(rows)
        devices = snapshot.fact_or("block_devices", {}) if snapshot.has("block_devices") else {}
        self.block_devices: Mapping[str, JSONObject] = devices
        self._numbers = {str(device["name"]): number for number, device in devices.items()}

    def expanded(self, location: Location, more: MountTable | None = None) -> list[Location]:
        """Return a location and its sources: the layers of an overlay, the device below a loop device.

        ``more`` is the table of a container, which may have overlays that the host has not.

        Raises:
            FactUnavailable: there are too many.
        """
        found, waiting = {location: None}, [(location, 0)]
        while waiting:
            current, depth = waiting.pop()
            layers = self.table.layers(current.device) or (more.layers(current.device) if more else ())
            # An overlay can be mounted over one of its own layers. Those of a container's root are outside.
            paths = [path for path in layers if path.startswith("/")]
            below = [self.table.locate(path, below=current.device) for path in paths]
            shown = [Location(at.device, joined(at.path, current.path.lstrip("/"))) for at in below if at]
            file = self.block_devices.get(current.device, {}).get("file")
            if isinstance(file, str) and (number := self.number(file)):
                shown.append(Location(number, current.path))
            new = dict.fromkeys(each for each in shown if each not in found)
            found |= new
            if len(found) > _MOST_SOURCES:
                raise FactUnavailable("mounts", f"{location.path} has more than {_MOST_SOURCES} sources")
            if depth < _DEEPEST:
                waiting += [(each, depth + 1) for each in new]
        return list(found)

    def images(self, device: str) -> list[Location]:
        """Return the backing file of a loop device: writing to it changes the filesystem in it."""
        file = self.block_devices.get(device, {}).get("file")
        location = self.table.locate(file) if isinstance(file, str) else None
        return [location] if location else []

    def number(self, path: str) -> str | None:
        """Return the number of the device with this node below /dev."""
        return self._numbers.get(path.rpartition("/")[2]) if path.startswith("/dev/") else None

    def underlying(self, device: str) -> set[str]:
        """Return the devices whose content a device gives access to: itself, and those below it."""
        found: set[str] = set()
        waiting = [device]
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            entry = self.block_devices.get(number, {})
            waiting += [str(each) for each in entry.get("stands_on") or ()]
            file = entry.get("file")
            waiting += filter(None, [self.number(file)] if isinstance(file, str) else [])
        return found

    def carriers(self, device: str, source: str = "") -> set[str]:
        """Return a filesystem's devices: its own, the disk of a partition, the base of a mapped device."""
        found: set[str] = set()
        waiting = [device, *filter(None, [self.number(source)])]
        while waiting:
            number = waiting.pop()
            if number in found or number not in self.block_devices:
                continue
            found.add(number)
            entry = self.block_devices[number]
            waiting += [str(entry["disk"])] if entry.get("disk") else []
            waiting += [str(each) for each in entry.get("stands_on") or ()]
        return found


@lru_cache(maxsize=1)  # used by two checks
def host(snapshot: Snapshot) -> Host | None:
    """Return the host's mounts; None for a snapshot of an earlier collector, which has only names."""
    try:
        return Host(snapshot)
    except FactUnavailable:
        if snapshot.has("mounts") and snapshot.has("block_devices"):
            raise
        return None


def table(rows: Iterable[JSONObject]) -> MountTable:
    """Return the mount table of a source ``mounts``, or of a container."""
    return MountTable(
        Mount(
            row["id"],
            row["parent"],
            row["mount_point"],
            row["root"].removesuffix(_DELETED),
            row["device"],
            "ro" not in row["options"].split(","),
            row["fstype"],
            _layers(row),
            row["root"].endswith(_DELETED),
        )
        for row in rows
    )


def _layers(row: JSONObject) -> tuple[str, ...]:
    """Return the folders that a mount shows: an overlay's layers, or the source of a FUSE filesystem.

    Programs such as bindfs name the folder that they pass on as the source.
    """
    source = str(row.get("source") or "")
    stacked = row["fstype"] in {"fuse", "ecryptfs"} or row["fstype"].startswith("fuse.")
    if stacked and source.startswith("/") and not within(source, "/dev"):
        return (source,)
    return tuple(row.get("layers") or ())


def within(path: str, tree: str) -> bool:
    """Return whether a path equals a folder or lies below it."""
    return tree in {"/", path} or path.startswith(f"{tree}/")


def relative(path: str, tree: str) -> str:
    """Return a path relative to one of its parent folders, without a leading slash."""
    return path[len(tree) :].lstrip("/") if tree != "/" else path.lstrip("/")


def joined(folder: str, rest: str) -> str:
    """Join a folder and a path relative to it."""
    if not rest:
        return folder
    return f"{folder.rstrip('/')}/{rest}"


def _prefixes(path: str) -> Iterator[str]:
    """Yield ``/``, ``/a``, ``/a/b`` for ``/a/b``."""
    yield "/"
    end = path.find("/", 1)
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
    if path != "/":
        yield path
