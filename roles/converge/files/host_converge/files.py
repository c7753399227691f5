"""Read, replace, remove files and set their owners and modes; nothing is ever half-written.

A file's new content goes to a temporary file beside it that has its final owner, mode, ACL and label before
it takes the name: whoever opens the path sees the old file or the new one, also after a crash or on a full
disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import NamedTuple

from host_converge.errors import Refused

ABSENT, FILE, DIRECTORY, OTHER = "absent", "file", "dir", "other"

MAX_SIZE = 16 * 1024 * 1024
_ACL = "system.posix_acl_access"
_KEPT = ("security.selinux",)  # travels to the new file; an ACL is part of the state and handled apart
# chattr's +i and +a (linux/fs.h): such a file is neither replaced nor removed, nor given to somebody else.
_GET_FLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


class State(NamedTuple):
    """What is at a path. ``content`` is None where nobody needed it (sockets, folders, attributes only)."""

    kind: str
    content: bytes | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    acl: bytes = b""

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return self.kind != ABSENT


NOTHING = State(ABSENT)


def own(content: bytes) -> State:
    """A file of our own, for nobody else's eyes."""
    return State(FILE, content, 0o600, os.geteuid(), os.getegid())


def real_path(path: str) -> str:
    """The path with symbolic links resolved: what is written is the file a link points to, never the link.

    Raises:
        Refused: the link leads in a circle or to nowhere.
    """
    resolved = os.path.realpath(path)
    if os.path.islink(resolved):
        raise Refused(f"{path}: the symbolic link leads in a circle")
    if resolved != path and not os.path.isdir(os.path.dirname(resolved)) and os.path.islink(path):
        raise Refused(f"{path}: the symbolic link points to {resolved}, whose folder does not exist")
    return resolved


def read(path: str, *, content: bool = True) -> State:
    """State of a path whose links are resolved.

    Raises:
        Refused: it cannot be read, or is too large to be a configuration file.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        link = f"/proc/self/fd/{handle}"
        kind = _kind(status.st_mode)
        data = None
        if kind == FILE and content:
            if status.st_size > MAX_SIZE:
                raise Refused(f"{path} has {status.st_size} bytes: that is no configuration file")
            with open(link, "rb") as file:
                data = file.read(MAX_SIZE + 1)
        return State(kind, data, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, _read_acl(link))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    finally:
        os.close(handle)


def obstacle(path: str, *, replaced: bool) -> str:
    """What keeps even root from changing a path, and the way out; empty where nothing does.

    Args:
        path: whose links are resolved.
        replaced: it gets another content, and so does the folder that names it; else its attributes alone.
    """
    folder = os.path.dirname([*missing_directories(path), path][0])
    for each in [*([path] if os.path.lexists(path) else []), *([folder] if replaced else [])]:
        if os.statvfs(each).f_flag & os.ST_RDONLY:
            return f"{each} is on a file system that is mounted read-only"
        flags = _inode_flags(each)
        if flags & (_IMMUTABLE | _APPEND_ONLY):
            undo = "-i" if flags & _IMMUTABLE else "-a"
            return f"somebody has made {each} immutable: chattr {undo} it first"
    return ""


def put(path: str, before: State, after: State) -> None:
    """Make a path what ``after`` says; ``before`` is what is there now.

    Raises:
        OSError: the file system does not allow it; the old file is then still there, whole.
    """
    if not after.exists:
        with suppress(FileNotFoundError):
            os.unlink(path)
        sync_directory(os.path.dirname(path))
    elif after.content is not None and (not before.exists or before.content != after.content):
        replace(path, after)
    elif before != after:
        set_attributes(path, after)


def replace(path: str, after: State) -> None:
    """Write a regular file anew, atomically."""
    temporary = temporary_name(path)
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    handle = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, stat.S_IRUSR
    )
    try:
        try:
            with open(handle, "wb", closefd=False) as file:
                file.write(after.content or b"")
            os.fchown(handle, after.uid, after.gid)
            os.fchmod(handle, after.mode)
            _copy_labels(path, handle)
            if after.acl:
                os.setxattr(handle, _ACL, after.acl)
            elif _read_acl(handle):  # a folder hands its default ACL on
                os.removexattr(handle, _ACL)
                os.fchmod(handle, after.mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def overwrite(path: str, after: State) -> None:
    """Write a regular file where it lies: all that is left on a full disk, and not atomic.

    Raises:
        OSError: it would have to grow, or the file system does not allow it.
    """
    content = after.content or b""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if len(content) > os.fstat(handle).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        os.ftruncate(handle, len(content))
        os.fsync(handle)
    finally:
        os.close(handle)
    set_attributes(path, after)


def set_attributes(path: str, after: State) -> None:
    """Set owner, mode and ACL of what is there, through a handle that no link can redirect."""
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        link = f"/proc/self/fd/{handle}"
        status = os.fstat(handle)
        if (status.st_uid, status.st_gid) != (after.uid, after.gid):
            os.chown(link, after.uid, after.gid)  # before the mode: it clears setuid bits
        if after.acl:
            os.setxattr(link, _ACL, after.acl)
        # With an ACL this sets its mask. Without one that was there, the mode must be right before the ACL
        # goes: what remains are the mode's bits, and for a moment they would be the mask's.
        os.chmod(link, after.mode)
        if not after.acl and _read_acl(link):
            os.removexattr(link, _ACL)
    finally:
        os.close(handle)


def modified(path: str) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


def set_modified(path: str, when: int) -> None:
    """Give a file that was put back its old time: nobody shall think that it is new."""
    if when:
        os.utime(path, ns=(when, when), follow_symlinks=False)


def missing_directories(path: str) -> list[str]:
    """Folders above a path that do not exist, the outermost first."""
    missing = []
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing[::-1]


def temporary_name(path: str) -> str:
    """Where a file's new content is written.

    Fixed, so that what a killed run left is found; hidden, and with an ending that no folder of configuration
    snippets reads.
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.hardener~")


def sync_directory(path: str) -> None:
    """Make names that appeared in or vanished from a folder last."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def same_attributes(one: State, other: State) -> bool:
    """Whether two states differ in nothing but their content."""
    return one._replace(content=None) == other._replace(content=None)


def group_bits(state: State) -> int:
    """Permissions of the owning group; where there is an ACL, the mode's group bits are its mask instead."""
    for tag, permissions in _acl_entries(state.acl):
        if tag == 0x04:  # ACL_GROUP_OBJ
            return permissions & (state.mode >> 3) & 7
    return (state.mode >> 3) & 7


def _acl_entries(acl: bytes) -> list[tuple[int, int]]:
    """Tag and permissions of the entries of an ACL, as the kernel stores it."""
    return [(tag, permissions) for tag, permissions, _ in struct.iter_unpack("<HHI", acl[4:])]


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    return DIRECTORY if stat.S_ISDIR(mode) else OTHER


def _inode_flags(path: str) -> int:
    """What chattr has set on a file or a folder; 0 where that is not known."""
    if _kind(os.lstat(path).st_mode) == OTHER:
        return 0
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(struct.unpack_from("I", fcntl.ioctl(handle, _GET_FLAGS, bytes(8)))[0])
    except OSError:  # this file system has no such flags
        return 0
    finally:
        os.close(handle)


def _read_acl(link: str | int) -> bytes:
    try:
        return os.getxattr(link, _ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
            return b""
        raise


def _copy_labels(path: str, handle: int) -> None:
    for name in _KEPT:
        try:
            value = os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            continue
        with suppress(OSError):  # a file system mounted with one label for all refuses it, rightly
            os.setxattr(handle, name, value)
