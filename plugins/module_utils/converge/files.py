"""What is at a path, and what is to be there: content, owner, mode, access control list.

Everything is read and changed by way of the package `host`, which follows no link of another user's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import NamedTuple

from ..host import atomic, descriptors, reserve
from ..host.atomic import Attributes, Meddled
from ..host.descriptors import Place, Untrusted
from .errors import Refused

ABSENT, FILE, DIRECTORY, DEVICE, OTHER = "absent", "file", "dir", "device", "other"

MAX_SIZE = 16 * 1024 * 1024
_SPARE = 4096
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
FOREIGN = State("foreign")  # there is something that no run of ours has left there
# A file larger than any that is written here, and a lease that its owner does not give back.
_NOT_WRITTEN_BY_US = (errno.EFBIG, errno.EAGAIN)


def own(content: bytes) -> State:
    """A file of our own, for nobody else's eyes."""
    return State(FILE, content, 0o600, os.geteuid(), os.getegid())


def real_path(path: str) -> str:
    """The path with symbolic links resolved: what is written is the file a link points to, never the link.

    Raises:
        Refused: a link leads in a circle or to nowhere, or is not root's.
    """
    try:
        with descriptors.at(path, follow=True) as place:
            if place.missing and _is_link(path):
                raise Refused(
                    f"{path}: the symbolic link points to {place.path}, whose folder does not exist"
                )
            return place.path
    except Untrusted as untrusted:
        raise Refused(str(untrusted)) from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _is_link(path: str) -> bool:
    with descriptors.at(path) as place:
        return place.exists and stat.S_ISLNK(place.status.st_mode)


def read(path: str, *, content: bool = True) -> State:
    """State of a path whose links are resolved.

    Raises:
        Refused: it cannot be read, is not root's to decide, or is too large to be a configuration file.
    """
    try:
        return _read(path, content=content)
    except Untrusted as untrusted:
        raise Refused(str(untrusted)) from None


def present(path: str, *, content: bool = True, inode: int = 0) -> State:
    """State of a path that a run has changed; what another user has put in its way since is none of ours.

    Args:
        path: whose links are resolved.
        content: read that as well.
        inode: what was there before the run, see `inode`; 0 where that does not matter.

    Raises:
        Refused: it cannot be read.
    """
    try:
        with descriptors.at(path) as place:
            if place.exists and inode not in (0, place.status.st_ino):
                return FOREIGN
            return _state(place, content=content)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except OSError as error:
        if isinstance(error, Untrusted) or error.errno in _NOT_WRITTEN_BY_US:
            return FOREIGN
        raise Refused(f"{path}: {error.strerror}") from error


def inode(path: str) -> int:
    """The number of what is at a path where others than root decide what that is; else 0.

    They may give the name to another file of the same owner and mode, which no run has changed.
    """
    with suppress(OSError), descriptors.at(path) as place:
        return place.status.st_ino if place.exists and not place.guarded else 0
    return 0


def guarded(path: str) -> bool:
    """Whether root alone decides what is at a path."""
    with suppress(OSError), descriptors.at(path) as place:
        return place.guarded and not place.missing
    return False


def _read(path: str, *, content: bool) -> State:
    try:
        with descriptors.at(path) as place:
            return _state(place, content=content)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except Untrusted:
        raise
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _state(place: Place, *, content: bool) -> State:
    if not place.exists:
        return NOTHING
    status = place.status
    kind = _kind(status.st_mode)
    data = None
    if kind == FILE and content:
        if status.st_size > MAX_SIZE:
            why = f"it has {status.st_size} bytes: that is no configuration file"
            raise OSError(errno.EFBIG, why, place.path)
        data = descriptors.read(place, MAX_SIZE)
    acl = b"" if stat.S_ISLNK(status.st_mode) else atomic.read_acl(place.link)
    return State(kind, data, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, acl)


def obstacle(path: str, *, replaced: bool) -> str:
    """What keeps even root from changing a path, and the way out; empty where nothing does.

    Args:
        path: whose links are resolved.
        replaced: it gets another content, and so does the folder that names it; else its attributes alone.
    """
    with descriptors.at(path) as place:
        above = os.path.dirname(path)
        for _name in place.missing:
            above = os.path.dirname(above)
        touched = [(path, place.handle)] if place.exists else []
        for name, handle in [*touched, *([(above, place.folder)] if replaced else [])]:
            if os.statvfs(handle).f_flag & os.ST_RDONLY:
                return f"{name} is on a file system that is mounted read-only"
            flags = _inode_flags(handle)
            if flags & (_IMMUTABLE | _APPEND_ONLY):
                undo = "-i" if flags & _IMMUTABLE else "-a"
                return f"somebody has made {name} immutable: chattr {undo} it first"
    return ""


def put(path: str, before: State, after: State, *, reserved: bool = False, inode: int = 0) -> None:
    """Make a path what ``after`` says; ``before`` is what is there now.

    What is looked at and what is changed is the same open file, whatever happens to the path meanwhile.

    Args:
        path: whose links are resolved.
        before: what is there.
        after: what is to be there.
        reserved: on a full disk, use what was set aside for it (`set_aside`), or else the blocks of the file.
        inode: of what is there, see `inode`; 0 where that does not matter.

    Raises:
        Meddled: something else is there.
        OSError: the file system does not allow it; the old file is then still there, whole.
    """
    with descriptors.at(path) as place:
        if _state(place, content=before.content is not None) != before:
            raise Meddled(path)
        if place.exists and inode not in (0, place.status.st_ino):
            raise Meddled(path)
        if not after.exists:
            atomic.unlink(place)
        elif after.content is not None and (not before.exists or before.content != after.content):
            try:
                _replace(place, after, reserved=reserved)
            except OSError as error:
                if not reserved or error.errno not in reserve.FULL or before.kind != FILE:
                    raise
                _overwrite(place, after)
        elif before != after:
            atomic.set_attributes(place, _attributes(after))


def replace(path: str, after: State, *, reserved: bool = False) -> None:
    """Write a regular file anew, atomically; on a full disk by what was set aside for it."""
    with descriptors.at(path) as place:
        _replace(place, after, reserved=reserved)


def _replace(place: Place, after: State, *, reserved: bool) -> None:
    temporary = os.path.basename(temporary_name(place.name))
    content, attributes = after.content or b"", _attributes(after)
    try:
        atomic.replace(place, content, attributes, temporary=temporary)
    except OSError as error:
        if not (reserved and error.errno in reserve.FULL and reserve.use(place, content, attributes)):
            raise


def _overwrite(place: Place, after: State) -> None:
    """Write a regular file where it lies: all that is left on a full disk, and not atomic."""
    atomic.overwrite(place, after.content or b"")
    atomic.set_attributes(place, _attributes(after))


def set_aside(path: str, size: int) -> None:
    """Set room aside to rewrite a file on a disk that is full by then.

    Args:
        path: the file.
        size: bytes of what will be written; an engine's configuration gets some more while it is put back.

    Raises:
        OSError: there is no room.
    """
    with descriptors.at(path) as place:
        reserve.set_aside(place, size + _SPARE)


def release(path: str) -> None:
    """Give back the room that was set aside for a file."""
    with suppress(OSError), descriptors.at(path) as place:
        reserve.release(place)


def set_attributes(path: str, after: State) -> None:
    """Set owner, mode and ACL of what is there."""
    with descriptors.at(path) as place:
        atomic.set_attributes(place, _attributes(after))


def _attributes(state: State) -> Attributes:
    return Attributes(state.mode, state.uid, state.gid, state.acl)


def modified(path: str) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    try:
        with descriptors.at(path) as place:
            return place.status.st_mtime_ns if place.exists else 0
    except OSError:
        return 0


def set_modified(path: str, when: int) -> None:
    """Give a file that was put back its old time: nobody shall think that it is new."""
    if when and modified(path) != when:
        atomic.set_modified(path, when)


def missing_directories(path: str) -> list[str]:
    """Folders above a path that do not exist, the outermost first."""
    with descriptors.at(path) as place:
        missing = []
        above = os.path.dirname(path)
        for _name in place.missing:
            missing.append(above)
            above = os.path.dirname(above)
        return missing[::-1]


def has_folder(path: str) -> bool:
    """Whether the folder of a path is there, and no file or link of another user's in its place."""
    try:
        return not missing_directories(path)
    except (NotADirectoryError, Untrusted):
        return False


def temporary_name(path: str) -> str:
    """Where a file's new content is written.

    Fixed, so that what a killed run left is found; hidden, and with an ending that no folder of configuration
    snippets reads.
    """
    above, name = os.path.split(path)
    return os.path.join(above, f".{name}{atomic.SUFFIX}")


def between(now: State, before: State, after: State) -> bool:
    """Whether owner, mode and ACL are those of one of two states, or some of each.

    ``set_attributes`` sets one after the other, and may be killed in between: a change of owner clears
    the bits of setuid and setgid, an ACL shows its mask as the mode's group bits.
    """
    ignored = 0
    if (before.uid, before.gid) != (after.uid, after.gid):
        ignored |= stat.S_ISUID | stat.S_ISGID
    if before.acl or after.acl:
        ignored |= stat.S_IRWXG
    return all(
        one in (first, second)
        for one, first, second in (
            (now.kind, before.kind, after.kind),
            ((now.uid, now.gid), (before.uid, before.gid), (after.uid, after.gid)),
            (now.mode & ~ignored, before.mode & ~ignored, after.mode & ~ignored),
            (now.acl, before.acl, after.acl),
        )
    )


def group_bits(state: State) -> int:
    """Permissions of the owning group; where there is an ACL, the mode's group bits are its mask instead."""
    for tag, permissions in _acl_entries(state.acl):
        if tag == 0x04:  # ACL_GROUP_OBJ
            return permissions & (state.mode >> 3) & 7
    return (state.mode >> 3) & 7


def _acl_entries(acl: bytes) -> list[tuple[int, int]]:
    """Tag and permissions of the entries of an ACL, as the kernel stores it."""
    return [(tag, permissions) for tag, permissions, _qualifier in struct.iter_unpack("<HHI", acl[4:])]


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return DEVICE
    return DIRECTORY if stat.S_ISDIR(mode) else OTHER


def _inode_flags(place: int) -> int:
    """What chattr has set on a file or a folder; 0 where that is not known."""
    if _kind(os.fstat(place).st_mode) not in (FILE, DIRECTORY):
        return 0
    try:
        handle = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(struct.unpack_from("I", fcntl.ioctl(handle, _GET_FLAGS, bytes(8)))[0])
    except OSError:  # this file system has no such flags
        return 0
    finally:
        os.close(handle)
