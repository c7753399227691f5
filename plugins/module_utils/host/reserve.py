"""Reserve room to rewrite a file later, even if the disk then has no free block and no free inode.

Beside the file lies another one of zeros, large enough for the new content. If nothing else is possible, that
one is filled and renamed; the replaced file becomes the next reserve, so that a path can be rewritten
repeatedly.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from . import atomic
from .atomic import Attributes, Meddled
from .descriptors import Place, open_counted

FULL = (errno.ENOSPC, errno.EDQUOT)
_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_EXCHANGE = 2  # RENAME_EXCHANGE (linux/fs.h)


def set_aside(place: Place, size: int) -> None:
    """Reserve room for `size` bytes.

    Raises:
        OSError: there is none; nothing is left behind then.
    """
    place.needed()
    try:
        release(place)
    except IsADirectoryError:  # others may write there, and must not prevent the change
        return
    handle = os.open(_name(place), _NEW, _MODE, dir_fd=place.folder)
    try:
        os.posix_fallocate(handle, 0, size)
    except BaseException:
        release(place)
        raise
    finally:
        os.close(handle)


def release(place: Place) -> None:
    """Free the reserved room, if there is any."""
    if place.missing:
        return
    with suppress(FileNotFoundError):
        os.unlink(_name(place), dir_fd=place.folder)


def use(place: Place, content: bytes, attributes: Attributes) -> bool:
    """Replace a file by its reserve, filled with the new content; return False if it has none.

    Raises:
        OSError: it cannot be written; what was there is still there, whole.
    """
    name = _name(place)
    try:
        handle, links = open_counted(name, os.O_WRONLY | _OLD, place.folder)
    except OSError:
        return False
    try:
        if links != 1 or not _is_file(handle) or os.fstat(handle).st_uid != os.geteuid():
            return False  # others may write to its folder
        atomic.fill(handle, content)
        os.ftruncate(handle, len(content))  # not before, since its blocks would be freed
        atomic.dress(handle, attributes, place)
        os.fsync(handle)
        written = os.fstat(handle)
    finally:
        os.close(handle)
    if _exchange(place.folder, name, place.name):
        with suppress(OSError):
            _keep(place.folder, name)
    else:
        os.rename(name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    atomic.sync(place.folder)
    now = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    if (now.st_dev, now.st_ino) != (written.st_dev, written.st_ino):
        raise Meddled(place.path)
    return True


def _name(place: Place) -> str:
    """Return the name of the reserve: hidden, with an ending that configuration folders ignore."""
    return f".{place.name}.reserve{atomic.SUFFIX}"


def _exchange(folder: int, one: str, other: str) -> bool:
    """Exchange two files atomically; return False if that is impossible or one does not exist."""
    import ctypes  # imported on demand: needed on a full disk only

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library without it
        return False
    return bool(renameat2(folder, os.fsencode(one), folder, os.fsencode(other), _EXCHANGE) == 0)


def _keep(folder: int, name: str) -> None:
    """Turn the replaced file into the next reserve; if it has other hard links, remove it instead."""
    handle, links = open_counted(name, os.O_RDONLY | _OLD, folder)
    try:
        if links == 1 and _is_file(handle):
            os.fchown(handle, os.geteuid(), os.getegid())
            os.fchmod(handle, _MODE)
        else:
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(handle)


def _is_file(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)
