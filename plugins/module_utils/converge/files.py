"""Read and change the state of a path: content, owner, mode, access control list.

All access goes through the package `host`, which follows no symbolic link of other users.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import NamedTuple, Sequence

from ..host import atomic, descriptors, reserve
from ..host.atomic import Attributes, Meddled
from ..host.descriptors import Place, Untrusted
from .errors import Refused

ABSENT, FILE, DIRECTORY, DEVICE, OTHER = "absent", "file", "dir", "device", "other"

MAX_SIZE = 16 * 1024 * 1024
_SPARE = 4096
# chattr's +i and +a (linux/fs.h): such a file cannot be replaced, removed, or given another owner
_GET_FLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


class State(NamedTuple):
    """The state of a path. ``content`` is None if it was not read (sockets, folders, attributes only)."""

    kind: str
    content: bytes | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    acl: bytes = b""

    @property
    def exists(self) -> bool:
        """Return whether anything exists at the path."""
        return self.kind != ABSENT


_NAMED_ENTRIES = {0x02: "uid", 0x08: "gid"}  # ACL_USER, ACL_GROUP
NOTHING = State(ABSENT)
FOREIGN = State("foreign")  # marks something that no run of hardener has left there
# Reasons why rmdir leaves a folder: it is gone, in use, or replaced.
_NOT_OURS = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY)
# Larger than any file written here, and a lease that its owner does not return.
_NOT_WRITTEN_BY_US = (errno.EFBIG, errno.EAGAIN)


def own(content: bytes) -> State:
    """Return the state of a file that hardener owns, readable by root only."""
    return State(FILE, content, 0o600, os.geteuid(), os.getegid())


def real_path(path: str) -> str:
    """Resolve symbolic links: hardener writes the file that a link points to, never the link.

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
    """Return the state of a path whose symbolic links are resolved already.

    Raises:
        Refused: it cannot be read, is not root's to decide, or is too large to be a configuration file.
    """
    try:
        return _read(path, content=content)
    except Untrusted as untrusted:
        raise Refused(str(untrusted)) from None


def present(path: str, *, content: bool = True, inode: int = 0) -> State:
    """Return the state of a path that a run has changed; foreign if another user has replaced it.

    Args:
        path: with resolved links.
        content: read the content as well.
        inode: inode before the run, see `inode`; 0 if it does not matter.

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
    """Return the inode of a file that other users can replace; 0 for any other file.

    They may move the name to another file of the same owner and mode, which no run has changed.
    """
    with suppress(OSError), descriptors.at(path) as place:
        return place.status.st_ino if place.exists and not place.guarded else 0
    return 0


def guarded(path: str) -> bool:
    """Return whether only root can replace the file at a path."""
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
    """Return why even root cannot change a path, and the remedy; empty if root can change it.

    Args:
        path: with resolved links.
        replaced: its content changes, and so does its folder; else only its attributes.

    Raises:
        Refused: it cannot be opened, or another user has redirected it since its links were resolved.
    """
    try:
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
                    return f"{name} is immutable or append-only: chattr {undo} it first"
    except OSError as error:
        raise Refused(descriptors.described(error, path)) from None
    return ""


def put(path: str, before: State, after: State, *, reserved: bool = False, inode: int = 0) -> None:
    """Change a path from the state ``before`` to the state ``after``.

    The file that is checked is the open file that is changed, whatever happens to the path meanwhile.

    Args:
        path: with resolved links.
        before: the present state.
        after: the wanted state.
        reserved: on a full disk, use the reserved room (`set_aside`), or else the blocks of the file.
        inode: of the present file, see `inode`; 0 if it does not matter.

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
    """Replace a regular file atomically; if ``reserved``, use its reserved room on a full disk."""
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
    """Overwrite a regular file in place: the last resort on a full disk, not atomic."""
    atomic.overwrite(place, after.content or b"")
    atomic.set_attributes(place, _attributes(after))


def set_aside(path: str, size: int) -> None:
    """Reserve room to rewrite a file on a disk that may be full by then.

    Args:
        path: the file.
        size: bytes that will be written; a rollback writes some more to an engine's configuration.

    Raises:
        OSError: there is no room.
    """
    with descriptors.at(path) as place:
        reserve.set_aside(place, size + _SPARE)


def release(path: str) -> None:
    """Free the room that was reserved for a file."""
    with suppress(OSError), descriptors.at(path) as place:
        reserve.release(place)


def set_attributes(path: str, after: State) -> None:
    """Set owner, mode and ACL of an existing file."""
    with descriptors.at(path) as place:
        atomic.set_attributes(place, _attributes(after))


def _attributes(state: State) -> Attributes:
    return Attributes(state.mode, state.uid, state.gid, state.acl)


def modified(path: str) -> int:
    """Return the modification time of a file in nanoseconds; 0 if there is none."""
    try:
        with descriptors.at(path) as place:
            return place.status.st_mtime_ns if place.exists else 0
    except OSError:
        return 0


def set_modified(path: str, when: int) -> None:
    """Restore the modification time of a restored file, so that it does not look new."""
    if when and modified(path) != when:
        atomic.set_modified(path, when)


def missing_directories(path: str) -> list[str]:
    """Return the missing folders above a path, the outermost first."""
    with descriptors.at(path) as place:
        missing = []
        above = os.path.dirname(path)
        for _name in place.missing:
            missing.append(above)
            above = os.path.dirname(above)
        return missing[::-1]


def make_folders(path: str) -> None:
    """Make the missing folders above a path.

    Raises:
        OSError: one cannot be made.
    """
    for folder in missing_directories(path):
        atomic.make_folder(folder)


def remove_folders(made: Sequence[str]) -> None:
    """Remove folders that were made for a file, unless they are gone, in use, or replaced.

    Args:
        made: their paths, the outermost first.

    Raises:
        OSError: one cannot be removed.
    """
    for folder in reversed(made):
        try:
            atomic.remove_folder(folder)
        except (Untrusted, Meddled):
            continue
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise


def has_folder(path: str) -> bool:
    """Return whether a path's parent folder exists; false if it is a file, or behind another user's link."""
    try:
        return not missing_directories(path)
    except (NotADirectoryError, Untrusted):
        return False


def temporary_name(path: str) -> str:
    """Return the path to which a file's new content is written.

    Fixed, so that the file of a killed run is found; hidden, and with an ending that folders of configuration
    snippets ignore.
    """
    above, name = os.path.split(path)
    return os.path.join(above, f".{name}{atomic.SUFFIX}")


def between(now: State, before: State, after: State) -> bool:
    """Return whether type, owner, mode and ACL of a path each are as in one of two states.

    ``set_attributes`` sets them one after another and may be killed in between: a change of owner clears the
    setuid and setgid bits, and an ACL shows its mask as the group bits of the mode.
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


def writers(state: State) -> frozenset[str]:
    """Return the users and groups other than root's that may write: ``uid 33``, ``gid 8``, ``all``."""
    found = {f"uid {state.uid}"} if state.uid else set()
    for tag, permissions, qualifier in struct.iter_unpack("<HHI", state.acl[4:]):
        if permissions & state.mode >> 3 & 2 and tag in _NAMED_ENTRIES:  # the group bits are the mask
            found.add(f"{_NAMED_ENTRIES[tag]} {qualifier}")
    if group_bits(state) & 2 and state.gid:
        found.add(f"gid {state.gid}")
    if state.mode & 2:
        found.add("all")
    return frozenset(found)


def group_bits(state: State) -> int:
    """Return the permissions of the owning group; with an ACL, the mode's group bits are its mask."""
    for tag, permissions in _acl_entries(state.acl):
        if tag == 0x04:  # ACL_GROUP_OBJ
            return permissions & (state.mode >> 3) & 7
    return (state.mode >> 3) & 7


def _acl_entries(acl: bytes) -> list[tuple[int, int]]:
    """Return tag and permissions of an ACL's entries, in the kernel's format."""
    return [(tag, permissions) for tag, permissions, _qualifier in struct.iter_unpack("<HHI", acl[4:])]


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return DEVICE
    return DIRECTORY if stat.S_ISDIR(mode) else OTHER


def _inode_flags(place: int) -> int:
    """Return the chattr flags of a file or a folder; 0 if unknown."""
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
