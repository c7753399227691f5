"""Room that is set aside to rewrite a file on a disk that is full by then, without a byte or an inode left.

Beside the file lies another one of zeros, large enough for what will be written. Where nothing else is
possible that one is filled and takes the name; the file that had the name becomes the next reserve, so that a
path can be rewritten again and again.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from . import atomic
from .atomic import Attributes, Meddled
from .descriptors import Place

FULL = (errno.ENOSPC, errno.EDQUOT)
_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_EXCHANGE = 2  # RENAME_EXCHANGE (linux/fs.h)


def set_aside(place: Place, size: int) -> None:
    """Set room aside for so many bytes.

    Raises:
        OSError: there is none; nothing is left behind then.
    """
    place.needed()
    try:
        release(place)
    except IsADirectoryError:  # others may write there, and must not keep it from being changed
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
    """Give the room back, should there be any."""
    with suppress(FileNotFoundError):
        os.unlink(_name(place), dir_fd=place.folder)


def use(place: Place, content: bytes, attributes: Attributes) -> bool:
    """Replace a file by means of the room that was set aside; False where there is none.

    Raises:
        OSError: it cannot be written; what was there is still there, whole.
    """
    name = _name(place)
    try:
        handle = os.open(name, os.O_WRONLY | _OLD, dir_fd=place.folder)
    except OSError:
        return False
    try:
        if not _is_private(handle) or os.fstat(handle).st_uid != os.geteuid():
            return False  # others may write to the folder that it lies in
        atomic.fill(handle, content)
        os.ftruncate(handle, len(content))  # not before: the blocks would be gone
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
    """Its name: hidden, with an ending that no folder of configuration snippets reads."""
    return f".{place.name}.reserve{atomic.SUFFIX}"


def _exchange(folder: int, one: str, other: str) -> bool:
    """Let two files change their names, at once; False where that cannot be done or one is not there."""
    import ctypes  # only a full disk pays for it

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library that does not have it
        return False
    return bool(renameat2(folder, os.fsencode(one), folder, os.fsencode(other), _EXCHANGE) == 0)


def _keep(folder: int, name: str) -> None:
    """Make the file that was replaced the next reserve, unless it has other names that must not change."""
    handle = os.open(name, os.O_RDONLY | _OLD, dir_fd=folder)
    try:
        if _is_private(handle):
            os.fchown(handle, os.geteuid(), os.getegid())
            os.fchmod(handle, _MODE)
        else:
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(handle)


def _is_private(handle: int) -> bool:
    """Whether a file is a regular one with a single name."""
    status = os.fstat(handle)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
