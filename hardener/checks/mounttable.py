"""A mount table as the checks ask it: what is mounted at a path, and where else the same folder can be seen.

A path is a name, and one folder has many: bind mounts, overlays and volumes give it more. What decides is the
location: the filesystem's device and the path inside of the filesystem, as mountinfo has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_DEEPEST = 8  # overlays of overlays


class Location(NamedTuple):
    """A file or folder of a filesystem."""

    device: str  # "8:1"
    path: str

    def within(self, other: Location) -> bool:
        """Whether it is the other one, or below it on the same filesystem."""
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

    @property
    def location(self) -> Location:
        """What it shows."""
        return Location(self.device, self.root)


class MountTable:
    """The mounts of one mount namespace."""

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self.mounts: dict[int, Mount] = {}
        self._on: dict[tuple[int, str], Mount] = {}  # parent and mount point
        self._showing: dict[tuple[str, str], list[Mount]] = defaultdict(list)  # by device and root
        self._root: Mount | None = None
        self._layers: dict[str, tuple[str, ...]] = {}
        for mount in mounts:
            self.add(mount)
        roots = [mount for mount in self.mounts.values() if mount.parent not in self.mounts]
        self._root = next((mount for mount in roots if mount.point == "/"), None)

    def add(self, mount: Mount) -> None:
        """Add a mount on top of those that are there."""
        self.mounts[mount.id] = mount
        self._on[mount.parent, mount.point] = mount
        self._showing[mount.device, mount.root].append(mount)
        if mount.layers:
            self._layers[mount.device] = mount.layers
        if self._root is None and mount.point == "/":
            self._root = mount

    def at(self, path: str, *, below: str = "") -> Mount | None:
        """The mount that a path leads to, as the kernel walks it; or the one ``below`` a filesystem."""
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
        """What a path is, where nothing on it is a symbolic link."""
        mount = self.at(path, below=below)
        return mount and Location(mount.device, joined(mount.root, relative(path, mount.point)))

    def names(self, location: Location) -> Iterator[tuple[str, Mount]]:
        """Every path under which something can be seen, with the mount that shows it there."""
        for root in _prefixes(location.path):
            for mount in self._showing.get((location.device, root), ()):
                name = joined(mount.point, relative(location.path, root))
                if self.at(name) is mount:
                    yield name, mount

    def below(self, path: str) -> Iterator[Mount]:
        """Mounts below a path that can be reached through it, those that carry others first."""
        for mount in self.mounts.values():
            if mount.point != path and within(mount.point, path) and self.at(mount.point) is mount:
                yield mount

    def layers(self, device: str) -> tuple[str, ...]:
        """The folders of the overlay that has this device."""
        return self._layers.get(device, ())


class Host:
    """The host's mount table, with what its overlays and loop devices show."""

    def __init__(self, snapshot: Snapshot) -> None:
        rows = snapshot.fact("mounts")
        if not all("id" in row for row in rows):
            raise FactUnavailable("mounts", "an earlier collector did not say how they are stacked")
        self.table = table(rows)
        devices = snapshot.fact_or("block_devices", {}) if snapshot.has("block_devices") else {}
        self.block_devices: Mapping[str, JSONObject] = devices
        self._numbers = {str(device["name"]): number for number, device in devices.items()}

    def expanded(self, location: Location, more: MountTable | None = None) -> list[Location]:
        """A location, and those that it shows: the layers of an overlay, the device below a loop device.

        ``more`` is the table of a container, which may have overlays that the host has not.
        """
        found, waiting = [location], [(location, 0)]
        while waiting:
            current, depth = waiting.pop()
            layers = self.table.layers(current.device) or (more.layers(current.device) if more else ())
            # An overlay may be mounted over one of its own layers.
            paths = [path for path in layers if path.startswith("/")]
            below = [self.table.locate(path, below=current.device) for path in paths]
            shown = [Location(at.device, joined(at.path, current.path.lstrip("/"))) for at in below if at]
            file = self.block_devices.get(current.device, {}).get("file")
            if isinstance(file, str) and (number := self.number(file)):
                shown.append(Location(number, current.path))
            new = [each for each in shown if each not in found]
            found += new
            if depth < _DEEPEST:
                waiting += [(each, depth + 1) for each in new]
        return found

    def images(self, device: str) -> list[Location]:
        """The file of a loop device: who writes to it, writes to the filesystem in it."""
        file = self.block_devices.get(device, {}).get("file")
        location = self.table.locate(file) if isinstance(file, str) else None
        return [location] if location else []

    def number(self, path: str) -> str | None:
        """The number of the device that has this node below /dev."""
        return self._numbers.get(path.rpartition("/")[2]) if path.startswith("/dev/") else None

    def carriers(self, device: str, source: str = "") -> set[str]:
        """A filesystem's devices: its own, the disk of a partition, what is below a mapped device."""
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


@lru_cache(maxsize=1)  # two checks ask for it
def host(snapshot: Snapshot) -> Host | None:
    """The host's mounts; None for a snapshot of an earlier collector, which names alone can judge."""
    try:
        return Host(snapshot)
    except FactUnavailable:
        if snapshot.has("mounts") and snapshot.has("block_devices"):
            raise
        return None


def table(rows: Iterable[JSONObject]) -> MountTable:
    """The mount table of a source ``mounts``, or of a container's."""
    return MountTable(
        Mount(
            row["id"],
            row["parent"],
            row["mount_point"],
            row["root"],
            row["device"],
            "ro" not in row["options"].split(","),
            row["fstype"],
            tuple(row.get("layers") or ()),
        )
        for row in rows
    )


def within(path: str, tree: str) -> bool:
    """Whether a path is a folder or below it."""
    return tree in {"/", path} or path.startswith(f"{tree}/")


def relative(path: str, tree: str) -> str:
    """The rest of a path below one of its folders, without a leading slash."""
    return path[len(tree) :].lstrip("/") if tree != "/" else path.lstrip("/")


def joined(folder: str, rest: str) -> str:
    """A path below a folder."""
    if not rest:
        return folder
    return f"{folder.rstrip('/')}/{rest}"


def _prefixes(path: str) -> Iterator[str]:
    """``/``, ``/a``, ``/a/b`` for ``/a/b``."""
    yield "/"
    end = path.find("/", 1)
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
    if path != "/":
        yield path
