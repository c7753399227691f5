"""Copy a folder with all attributes and mapped ids, and compare the copy.

Owners, modes with setuid bits, times, ACLs, capabilities and other attributes, symbolic and hard links,
holes, devices, pipes and sockets are preserved. The folder's content may be hostile: no link in it is
followed, and everything is opened relative to a descriptor of its folder.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import ContextManager, Iterator, NamedTuple, Tuple

from ...host import descriptors
from ..errors import Failed
from .ids import Shift

Parts = Tuple[str, ...]

# Overlayfs notes about lower layers contain inodes of the old root; they are not required.
OVERLAY_ORIGIN = frozenset(
    f"trusted.overlay.{name}" for name in ("origin", "impure", "nlink", "index", "uuid", "upper")
)
_LABEL = "security.selinux"
_DEEPEST = 500  # deeper trees are made to cause harm
_EDGE = 64 * 1024
_CHUNK = 1 << 24
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_SHOWN = 3


class Extent(NamedTuple):
    """The size of a folder, and why it cannot be copied."""

    entries: int
    size: int  # bytes on disk
    obstacles: list[str]


def measure(folder: str, shift: Shift) -> Extent:
    """Measure a folder; changes nothing.

    Raises:
        Failed: it cannot be read.
    """
    entries = size = 0
    obstacles: list[str] = []
    seen = set()
    with _reported(folder), _opened(folder) as root:
        top = os.fstat(root)
        for parts, handle in _folders(root):
            for name, status in [(".", os.fstat(handle)), *_listed(handle)]:
                entries += name != "."
                if (status.st_ino, status.st_dev) not in seen:
                    size += status.st_blocks * 512
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    seen.add((status.st_ino, status.st_dev))
                if len(obstacles) >= _SHOWN:
                    continue
                path = "/".join((*parts, name))
                if status.st_dev != top.st_dev:
                    obstacles.append(f"another file system is mounted at {path}")
                elif not shift.fits(status.st_uid, status.st_gid):
                    obstacles.append(
                        f"{path} belongs to {status.st_uid}:{status.st_gid}, beyond the range of ids"
                    )
    return Extent(entries, size, obstacles)


def copy(source: str, target: str, shift: Shift, *, without: frozenset[str] = frozenset()) -> None:
    """Copy a folder into an empty one, with its attributes.

    Args:
        source: the folder to copy.
        target: an existing empty folder.
        shift: mapping of ids.
        without: names of extended attributes to leave out.

    Raises:
        Failed: it cannot be done; what is in ``target`` by then is incomplete.
    """
    links: dict[tuple[int, int], Parts] = {}
    with _reported(source), _opened(source) as old, _opened(target) as new:
        if os.listdir(new):
            raise Failed(f"{target} is not empty")
        device = os.fstat(old).st_dev
        for parts, handle in _folders(old):
            with _below(new, parts) as folder:
                for name, status in _listed(handle):
                    if status.st_dev != device:
                        raise Failed(f"another file system is mounted at {'/'.join((*parts, name))}")
                    key = (status.st_dev, status.st_ino)
                    if key in links and not stat.S_ISDIR(status.st_mode):
                        *above, first = links[key]
                        with _below(new, tuple(above)) as there:
                            os.link(first, name, src_dir_fd=there, dst_dir_fd=folder, follow_symlinks=False)
                        continue
                    if status.st_nlink > 1:
                        links[key] = (*parts, name)
                    _make(handle, folder, name, status)
                    if not stat.S_ISDIR(status.st_mode):  # a folder's times are set after its last entry
                        _dress_entry(handle, folder, name, status, shift=shift, without=without)
                _dress(f"{_link(handle)}/.", f"{_link(folder)}/.", os.fstat(handle), shift, without)


def differences(
    source: str, target: str, shift: Shift, *, without: frozenset[str] = frozenset()
) -> tuple[int, int, list[str]]:
    """Compare a copy with its source: every attribute, and the first and last bytes of every file.

    Returns:
        Entries and bytes of files that were compared, and the first differences.

    Raises:
        Failed: one of them cannot be read.
    """
    found: list[str] = []
    count = size = 0
    twins: dict[tuple[int, int], tuple[int, int]] = {}
    with _reported(target), _opened(source) as old, _opened(target) as new:
        for parts, handle in _folders(old):
            if len(found) >= _SHOWN:
                break
            path = "/".join(parts) or "."
            try:
                with _below(new, parts) as folder:
                    names = {name for name, _status in _listed(folder)}
                    mine = _listed(handle)
                    for name in sorted(names ^ {name for name, _status in mine})[:_SHOWN]:
                        found.append(f"{path}/{name}: only in the source or only in the copy")
                    for name, status in [(".", os.fstat(handle)), *mine]:
                        if name != "." and name not in names:
                            continue
                        one, other = f"{_link(handle)}/{name}", f"{_link(folder)}/{name}"
                        now = os.lstat(other)
                        count += 1
                        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
                        what = _differs(one, other, status, now, shift=shift, without=without)
                        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                            key = (now.st_dev, now.st_ino)
                            if twins.setdefault((status.st_dev, status.st_ino), key) != key:
                                what = what or "hard links"
                        if what:
                            found.append(f"{path}/{name}: {what}")
            except FileNotFoundError:
                found.append(f"{path}: missing")
    return count, size, found[:_SHOWN]


def _differs(
    one: str,
    other: str,
    before: os.stat_result,
    now: os.stat_result,
    *,
    shift: Shift,
    without: frozenset[str],
) -> str:
    """Return how a copied entry differs from its source; empty if they are equal."""
    if before.st_mode != now.st_mode:
        return f"mode {now.st_mode:o} is not {before.st_mode:o}"
    if (now.st_uid, now.st_gid) != (shift.uid(before.st_uid), shift.gid(before.st_gid)):
        return f"owner {now.st_uid}:{now.st_gid} is not the shifted {before.st_uid}:{before.st_gid}"
    if before.st_mtime_ns != now.st_mtime_ns:
        return "time of change"
    if before.st_rdev != now.st_rdev:
        return "device number"
    labels = frozenset({_LABEL}) | without
    if _xattrs(one, shift, labels) != _xattrs(other, None, labels):
        return "extended attributes"
    if stat.S_ISLNK(before.st_mode) and os.readlink(one) != os.readlink(other):
        return "target of the link"
    if stat.S_ISREG(before.st_mode):
        if before.st_size != now.st_size:
            return f"{now.st_size} bytes instead of {before.st_size}"
        if _edges(one, before.st_size) != _edges(other, before.st_size):
            return "content"
    return ""


def _edges(path: str, size: int) -> bytes:
    handle = os.open(path, _READ)
    try:
        head = os.pread(handle, _EDGE, 0)
        return head + os.pread(handle, _EDGE, max(_EDGE, size - _EDGE))
    finally:
        os.close(handle)


def _make(old: int, new: int, name: str, status: os.stat_result) -> None:
    """Create an entry of the source's type, at first accessible to root only."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=new)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=old), name, dir_fd=new)
    elif kind == stat.S_IFREG:
        source = os.open(name, _READ, dir_fd=old)
        try:
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=new)
            try:
                _copy_data(source, target, os.fstat(source).st_size)
            finally:
                os.close(target)
        finally:
            os.close(source)
    else:
        os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=new)


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy a file's data without its holes, with shared blocks if the file system supports them."""
    os.ftruncate(target, size)
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole up to the end
                return
            raise
        end = os.lseek(source, offset, os.SEEK_HOLE)
        os.lseek(source, offset, os.SEEK_SET)
        os.lseek(target, offset, os.SEEK_SET)
        while offset < end:
            copied = _some_data(source, target, min(_CHUNK, end - offset))
            if not copied:
                raise Failed("a file shrank while it was copied")
            offset += copied


def _some_data(source: int, target: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return os.sendfile(target, source, None, count)


def _dress_entry(
    old: int, new: int, name: str, status: os.stat_result, *, shift: Shift, without: frozenset[str]
) -> None:
    """Set the attributes of a new entry; refuse an entry of another type that replaced it meanwhile."""
    made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=new)
    try:
        if stat.S_IFMT(os.fstat(made).st_mode) != stat.S_IFMT(status.st_mode):
            raise Failed(f"{_shown(name)} was changed by others meanwhile")
        # The attributes of a link can be set only by its name; nothing follows the link then.
        target = f"{_link(new)}/{name}" if stat.S_ISLNK(status.st_mode) else _link(made)
        _dress(f"{_link(old)}/{name}", target, status, shift, without)
    finally:
        os.close(made)


def _dress(source: str, target: str, status: os.stat_result, shift: Shift, without: frozenset[str]) -> None:
    """Set an entry's attributes, in an order in which no step undoes an earlier one."""
    follow = not stat.S_ISLNK(status.st_mode)  # follow only the kernel's link to the open file
    os.chown(target, shift.uid(status.st_uid), shift.gid(status.st_gid), follow_symlinks=follow)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # chown has cleared setuid bits
    for name, value in _xattrs(source, shift, without).items():
        try:
            os.setxattr(target, name, value, follow_symlinks=follow)
        except OSError as error:
            if name == _LABEL:  # a file system mounted with one label for all files refuses it
                continue
            raise Failed(
                f"the attribute {name} of {_shown(source)} cannot be kept: {error.strerror}"
            ) from error
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=follow)


def _xattrs(path: str, shift: Shift | None, without: frozenset[str]) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return {}
        raise
    found = {}
    for name in names:
        if name in without or name == "security.evm":  # a signature of this inode
            continue
        with suppress(OSError):  # removed meanwhile, or of a kind that can be listed and not read
            value = os.getxattr(path, name, follow_symlinks=False)
            found[name] = value if shift is None else shift.xattr(name, value)
    return found


def _folders(root: int) -> Iterator[tuple[Parts, int]]:
    """Yield an open folder and all folders below it, each after its parent, with a descriptor.

    Raises:
        Failed: they are nested too deep.
    """
    waiting: list[Parts] = [()]
    while waiting:
        parts = waiting.pop()
        if len(parts) > _DEEPEST:
            raise Failed(f"folders are nested more than {_DEEPEST} deep")
        with _below(root, parts) as handle:
            yield parts, handle
            device = os.fstat(handle).st_dev
            for name, status in _listed(handle):
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    waiting.append((*parts, name))


def _listed(handle: int) -> list[tuple[str, os.stat_result]]:
    with os.scandir(handle) as entries:
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]


@contextmanager
def _below(root: int, parts: Parts) -> Iterator[int]:
    """Open a folder below an open one without following links."""
    handle = os.dup(root)
    try:
        for name in parts:
            inner = os.open(name, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


def _opened(folder: str) -> ContextManager[int]:
    return descriptors.folder(folder, follow=False)


@contextmanager
def _reported(folder: str) -> Iterator[None]:
    """Raise an error of the context again as a failure that names the folder."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{folder}: {_shown(str(error.filename or ''))}: {error.strerror}") from error
    except Failed as failed:
        raise Failed(f"{folder}: {failed}") from failed


def _link(handle: int) -> str:
    return f"/proc/self/fd/{handle}"


def _shown(path: str) -> str:
    return path.rsplit("/", 1)[-1]
