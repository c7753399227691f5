"""Sizes, kinds and changes of what is mounted into a container."""

from __future__ import annotations

import os
import stat
from typing import Iterator

_MAX_FILES = 200_000
_MAX_CHANGED = 5_000
_KINDS = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISREG, "file"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISFIFO, "a pipe"),
)


def kind(path: str) -> str:
    """What a path of the host is, in a word."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "a path that is not there"
    return next((word for test, word in _KINDS if test(mode)), "something")


def size(path: str, most: int) -> int:
    """Bytes that the files below a path have; more than ``most`` as soon as that is certain."""
    total = count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            count += 1
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
            if total > most or count > _MAX_FILES:
                return most + 1
    return total


def changed(source: str, target: str, since: float) -> Iterator[tuple[str, bool]]:
    """Paths in the container of what has changed in a volume, and whether it was not there before.

    Args:
        source: where the volume is on the host.
        target: where it is in the container.
        since: when the container was started, in seconds.
    """
    count = 0
    for folder, folders, names in os.walk(source):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if found.st_ctime >= since:
                count += 1
                if count > _MAX_CHANGED:
                    return
                yield target.rstrip("/") + path[len(source.rstrip("/")) :], found.st_mtime >= since
