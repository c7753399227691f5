"""Measure size, kind and changes of mounted folders.

A container may change a folder during the walk. So folders are opened relative to their parents, without
following links: whatever is moved or replaced meanwhile, nothing outside is read.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import islice
from typing import Iterator, NamedTuple

from ..host.mountpoints import mounted_below

_MAX_FILES = 200_000
_MAX_CHANGED = 5_000
_MAX_LEVELS = 200  # one descriptor per level; ordinary programs stay far below
_KINDS = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISREG, "file"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISFIFO, "a pipe"),
)
WITH_DOORS = "a directory with sockets, pipes, devices or writable mounts"
_PSEUDO = re.compile(r"/(?:proc|sys)(?:/|$)")  # the kernel creates entries here without size or times
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class TooDeep(Exception):  # noqa: N818 - a state of the folder, not a defect
    """Folders are nested deeper than the limit."""


class TooMany(Exception):  # noqa: N818 - the same
    """There are more files than are looked at."""


class Found(NamedTuple):
    """An entry below a folder."""

    path: str  # relative to the folder, with a leading slash
    status: os.stat_result


def kind(path: str, *, recursive: bool = True) -> str:
    """Return the kind of a host path; ``directory`` only if a read-only mount protects all that it contains.

    Args:
        path: of the host.
        recursive: whether the engine mounts the mounts below it read-only too.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "a missing path"
    word = next((word for test, word in _KINDS if test(mode)), "something")
    if word != "directory" or _PSEUDO.match(os.path.realpath(path)) or not _has_doors(path, recursive):
        return word
    return WITH_DOORS


def size(path: str, most: int) -> int:
    """Return the size of the files below a path; stop as soon as it exceeds ``most``."""
    total = count = 0
    try:
        for each in _below(path):
            count += 1
            if not stat.S_ISDIR(each.status.st_mode):
                total += each.status.st_size
            if total > most or count > _MAX_FILES:
                return most + 1
    except TooDeep:
        return most + 1
    return total


def changed(source: str, target: str, since: float) -> Iterator[tuple[str, bool]]:
    """Yield container paths of changed entries in a volume or bind mount, and whether each is new.

    Args:
        source: path of the volume, or of the mounted folder or file, on the host.
        target: its path in the container.
        since: start time of the container, in seconds.

    Raises:
        TooMany: it has too many entries; the rest is not looked at.
    """
    try:
        mounted = os.stat(source)
    except OSError:
        return
    if stat.S_ISREG(mounted.st_mode) and mounted.st_ctime >= since:
        yield target, False
    count = 0
    for number, each in enumerate(_below(source, deeper=False, device=mounted.st_dev)):
        if number >= _MAX_FILES:
            raise TooMany
        if each.status.st_ctime >= since:
            count += 1
            if count > _MAX_CHANGED:
                raise TooMany
            yield target.rstrip("/") + each.path, each.status.st_mtime >= since


def entered(layer: str, since: float) -> Iterator[str]:
    """Yield container paths of folders in a writable layer with added or removed entries.

    Args:
        layer: path of the layer on the host. It contains each folder with a change below it; a folder without
            added or removed entries keeps the time of the image's.
        since: creation time of the container, in seconds.
    """
    for each in islice(_below(layer, deeper=False), _MAX_FILES):
        if stat.S_ISDIR(each.status.st_mode) and each.status.st_mtime >= since:
            yield each.path


def _has_doors(path: str, recursive: bool) -> bool:
    """Return whether a folder has what a read-only mount does not protect: sockets, pipes, devices, mounts.

    Folders that are too large to walk count as if they did.
    """
    folder = os.path.realpath(path)
    if not recursive and any(point != folder for point in mounted_below(folder)):
        return True
    count = 0
    try:
        for each in _below(path):
            count += 1
            mode = each.status.st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)) or count > _MAX_FILES:
                return True
    except TooDeep:
        return True
    return False


def _below(path: str, *, deeper: bool = True, device: int | None = None) -> Iterator[Found]:
    """Yield all entries below a folder.

    Args:
        path: of the folder.
        deeper: whether it is an error if some are nested too deep; else they are omitted.
        device: the only one whose folders are entered, such as that of the folder; None for any.

    Raises:
        TooDeep: some lies too deep.
    """
    open_folders: list[tuple[int, str, Iterator[str]]] = []

    def enter(name: str, at: int | None, shown: str) -> None:
        try:
            descriptor = os.open(name, _FOLDER if at is not None else _FOLDER & ~os.O_NOFOLLOW, dir_fd=at)
        except OSError:
            return
        try:
            entries = os.listdir(descriptor)
        except OSError:
            entries = []
        open_folders.append((descriptor, shown, iter(entries)))

    try:
        enter(path, None, "")
        while open_folders:
            descriptor, shown, names = open_folders[-1]
            name = next(names, None)
            if name is None:
                os.close(open_folders.pop()[0])
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue
            found = Found(f"{shown}/{name}", status)
            yield found
            if stat.S_ISDIR(status.st_mode) and device in (None, status.st_dev):
                if len(open_folders) < _MAX_LEVELS:
                    enter(name, descriptor, found.path)
                elif deeper:
                    raise TooDeep
    finally:
        for descriptor, _left, _path in open_folders:
            os.close(descriptor)
