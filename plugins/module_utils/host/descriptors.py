"""Open paths one folder at a time from `/`, so that no other user's link can redirect a change.

A symbolic link is followed only if root owns it and only root can replace it: root owns the folder that holds
it, no other user may write to it (an access control list shows in the group's bits), and the same is true of
the folders above, where a sticky bit protects root's own entries. On a file system that another user mounted
(FUSE) no owner is believed. Folders of others are entered, but none of their links is followed there, and no
file with a second name, which could be any file of the file system. A path that fails this raises
`Untrusted`.

The result is a `Place`: an open folder, a name in it, and a descriptor of the entry with that name. All later
reads and changes use these descriptors, never the path again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from contextlib import contextmanager

from .text import visible

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator, Mapping

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _PATH | os.O_DIRECTORY  # opened as a folder, which triggers automounts
_HANDLES = "/proc/self/fd/"
_MAX_LINKS = 40  # same as the kernel's limit
_FUSE = 0x65735546  # linux/magic.h
_OTHERS = 0o022  # with an access control list the group's bits are its mask
_COARSE = 5  # CLOCK_REALTIME_COARSE (linux/time.h): the clock of status changes
_TICK = 0.011  # seconds; longer than that clock stands still
_TURNS = 3


class Untrusted(OSError):  # noqa: N818 - a decision, not a defect
    """A path that another user than root could redirect; nothing there was changed."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(errno.EPERM, reason, path)

    def __str__(self) -> str:
        return f"{visible(str(self.filename))}: {self.strerror}"


class Place:
    """A name in an open folder.

    Args:
        path: its path, without any link in it.
        folder: descriptor of the folder; of the last one that exists, if ``missing`` names others.
        name: the name in it.
        handle: the entry with the name, opened as a path; -1 if there is none.
        guarded: whether only root can replace the entry.
        missing: folders that would have to be created for it, below ``folder``.
    """

    __slots__ = ("folder", "guarded", "handle", "missing", "name", "path")

    def __init__(
        self,
        path: str,
        folder: int,
        name: str,
        handle: int,
        *,
        guarded: bool,
        missing: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.folder = folder
        self.name = name
        self.handle = handle
        self.guarded = guarded
        self.missing = missing

    @property
    def exists(self) -> bool:
        """Return whether the entry exists."""
        return self.handle >= 0

    @property
    def status(self) -> os.stat_result:
        """Return owner, mode and type of the entry, from ``fstat``."""
        return os.fstat(self.handle)

    @property
    def link(self) -> str:
        """Return a /proc path for calls that take no descriptor; it leads to the opened entry."""
        return f"{_HANDLES}{self.handle}"

    def needed(self) -> None:
        """Raise FileNotFoundError if folders above are missing."""
        if self.missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)

    def open(self, flags: int) -> int:
        """Open the entry for reading or writing its content.

        Raises:
            OSError: nothing has, or it is not a regular file and no folder.
        """
        if not self.exists:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        if not (stat.S_ISREG(self.status.st_mode) or stat.S_ISDIR(self.status.st_mode)):
            raise OSError(errno.EINVAL, "not a regular file", self.path)
        return os.open(self.link, flags | os.O_NONBLOCK | os.O_CLOEXEC)


class _Level:
    """An open folder of a walk."""

    __slots__ = ("device", "guarded", "handle", "mounted_by", "name", "ours", "sticky")

    def __init__(self, handle: int, name: str, above: _Level | None) -> None:
        status = os.fstat(handle)
        self.handle = handle
        self.name = name
        self.device = status.st_dev
        # The user whose program answers for this file system, and says who owns what.
        self.mounted_by: int = 0 if above is None else above.mounted_by
        if above is not None and above.device != status.st_dev:
            self.mounted_by = _mounted_by(handle)
        owned = trusted(status.st_uid) and trusted(self.mounted_by)
        self.ours = above is None or above.keeps(status)  # only root decides which folder this is
        self.guarded = self.ours and owned and not status.st_mode & _OTHERS  # and which entries it has
        # Or at least what happens to root's own entries.
        self.sticky = self.ours and owned and bool(status.st_mode & stat.S_ISVTX)

    def keeps(self, status: os.stat_result) -> bool:
        """Return whether no other user can replace this entry."""
        return self.guarded or (self.sticky and trusted(status.st_uid))


@contextmanager
def at(path: str, *, follow: bool = False) -> Iterator[Place]:
    """Open a place.

    Args:
        path: absolute. Links in its folders are followed if root owns them.
        follow: the same for a link with the last name; without it, the place is that link.

    Raises:
        Untrusted: another user could lead it elsewhere.
        OSError: there is a file where a folder has to be, or links lead in a circle.
    """
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{path!r} is not an absolute path")
    walk = _Walk(path, follow=follow)
    try:
        yield walk.place()
    except OSError as error:
        # Errors of calls on descriptors name only the last component, or the descriptor.
        if not str(error.filename or "").startswith("/") or str(error.filename).startswith(_HANDLES):
            error.filename = path
        raise
    finally:
        walk.close()


class _Walk:
    """The walk from `/` to a place, with its open descriptors."""

    def __init__(self, path: str, *, follow: bool) -> None:
        self._path = path
        self._follow = follow
        self._links = 0
        self._levels = [_Level(os.open("/", _FOLDER), "", None)]
        self._waiting = deque(_names(path))
        self._handle = -1  # the entry with the last name

    def close(self) -> None:
        """Close all descriptors."""
        for handle in (self._handle, *(level.handle for level in self._levels)):
            if handle >= 0:
                os.close(handle)

    def place(self) -> Place:
        """Walk to the place, and return it."""
        while self._waiting:
            name = self._waiting.popleft()
            if name == "..":
                self._up(len(self._levels) - 1)
                continue
            last, level, links = not self._waiting, self._levels[-1], 1
            try:
                if last and not level.guarded:
                    handle, links = open_counted(name, _PATH, level.handle)
                else:
                    handle = _open(level, name, folder=not last)
            except FileNotFoundError:
                return self._nothing([name, *self._waiting])
            kind = stat.S_IFMT(os.fstat(handle).st_mode)
            if kind == stat.S_IFLNK and (self._follow or not last):
                try:
                    self._go_along(handle, name)
                finally:
                    os.close(handle)
            elif last:
                self._handle = handle
                return self._found(name, links)
            elif kind == stat.S_IFDIR:
                self._levels.append(_Level(handle, name, self._levels[-1]))
            else:
                os.close(handle)
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._path)
        # The path ended with a folder that is open already, like `/` and a link to `..`.
        top, above = self._levels[-1], self._levels[-2:][0]
        self._handle = os.dup(top.handle)
        return Place(self._named(), above.handle, top.name or ".", self._handle, guarded=above.guarded)

    def _up(self, depth: int) -> None:
        """Close folders until `depth` are open below `/`."""
        while len(self._levels) > max(depth, 1):
            os.close(self._levels.pop().handle)

    def _go_along(self, handle: int, name: str) -> None:
        """Follow an open symbolic link, or raise if that is not allowed."""
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, "the symbolic links form a loop", self._path)
        owner = os.fstat(handle).st_uid
        if not trusted(owner):
            raise Untrusted(
                self._named(name),
                f"this symbolic link belongs to uid {owner}, who could point it at any file:"
                " remove it, or have root own the link and its folder",
            )
        if not self._levels[-1].guarded:
            raise Untrusted(
                self._named(name),
                "this symbolic link is in a folder where users other than root can create one"
                f" ({self._loose()}): remove it, or let root alone write there",
            )
        target = os.readlink("", dir_fd=handle)  # of the same link that was checked
        if target.startswith("/"):
            self._up(1)
        self._waiting.extendleft(reversed(_names(target)))

    def _found(self, name: str, links: int) -> Place:
        level = self._levels[-1]
        if links != 1:
            what = f"has {links} hard links" if links else "was changed each time that it was opened,"
            raise Untrusted(
                self._named(name),
                f"this file {what} and is in a folder where users other than root"
                f" can create one ({self._loose()}), so that it may be any file: remove it, or copy it and"
                " let root alone write there",
            )
        return Place(self._named(name), level.handle, name, self._handle, guarded=level.guarded)

    def _nothing(self, names: list[str]) -> Place:
        """Return the place of a path that does not exist."""
        if ".." in names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path)
        level = self._levels[-1]
        path, missing = self._named(*names), tuple(names[:-1])
        return Place(path, level.handle, names[-1], -1, guarded=level.guarded, missing=missing)

    def _named(self, *names: str) -> str:
        return "/" + "/".join([*(level.name for level in self._levels[1:]), *names])

    def _loose(self) -> str:
        """Return the first folder of the walk that others can change, and why."""
        names = []
        for level, below in zip(self._levels, [*self._levels[1:], None]):
            names.append(level.name)
            if not level.guarded and (below is None or not below.ours):
                break
        status, path = os.fstat(level.handle), "/".join(names) or "/"
        if level.mounted_by < 0:
            return f"{path} was on a file system that is no longer mounted"
        if not trusted(level.mounted_by):
            return f"{path} is on a file system that uid {level.mounted_by} mounted"
        return f"{path} is of uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}"


def _mounted_by(handle: int) -> int:
    """Return the user who mounted the file system of an open folder; only FUSE permits others than root.

    A program of that user then says who owns a file and where a link leads. One that was unmounted while this
    folder was open is still answered for, and has no user any more: -1.
    """
    if not _may_be_fuse(handle):
        return 0
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as lines:
        number = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if line.split(" ", 1)[0] == number:
                return _user_of(line)
    return -1


def user_mounts() -> Mapping[int, int]:
    """Return the device number of each file system that another user mounted, with that user's id."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if not trusted(user := _user_of(line)):
                major, minor = line.split(" ", 3)[2].split(":")
                found[os.makedev(int(major), int(minor))] = user
    return found


def _user_of(line: str) -> int:
    """Return the user who mounted the file system of a line of /proc/self/mountinfo."""
    kind, _source, options = line.rstrip("\n").partition(" - ")[2].split(" ", 2)
    users = [each[8:] for each in options.split(",") if each.startswith("user_id=")]
    return int(users[-1]) if kind.startswith("fuse") and users else 0


def _may_be_fuse(handle: int) -> bool:
    """Return whether an open folder may be on FUSE; that is faster than the table of mounts."""
    try:
        import ctypes

        status = ctypes.create_string_buffer(512)  # struct statfs, which begins with the type
        if ctypes.CDLL(None).fstatfs(handle, status) != 0:
            return True
    except (ImportError, OSError, AttributeError):
        return True
    return _FUSE in (kind.from_buffer(status).value for kind in (ctypes.c_long, ctypes.c_int))


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _open(level: _Level, name: str, *, folder: bool) -> int:
    if folder:
        try:
            return os.open(name, _FOLDER, dir_fd=level.handle)
        except NotADirectoryError:
            pass
    return os.open(name, _PATH, dir_fd=level.handle)


def open_counted(name: str, flags: int, folder: int) -> tuple[int, int]:
    """Open an entry of a folder where other users may create links; return it, and its number of names.

    With the right timing they link any file here, and remove this link between the open and the look at
    `st_nlink`, which is then 1. Owner, mode and number are the same again; the time of the last status change
    is not: each link and each removal sets it to the kernel's clock, and no call sets it to another time. So
    a file with one name and a time before the open, or in the future, had one name when it was opened. One
    that has just been written is opened again after a tick of that clock. A file of the only user who can
    create links here needs no time: its owner gains nothing.

    The number is 1 for anything but a regular file, and 0 for a file that was changed during each open.
    """
    for turn in range(_TURNS):
        began = time.clock_gettime_ns(_COARSE)
        handle = os.open(name, flags, dir_fd=folder)
        status, around = os.fstat(handle), os.fstat(folder)
        links = status.st_nlink if stat.S_ISREG(status.st_mode) else 1
        own = status.st_uid == around.st_uid and not around.st_mode & _OTHERS
        if links != 1 or own or not stat.S_ISREG(status.st_mode):
            return handle, links
        changed = os.fstat(
            handle
        ).st_ctime_ns  # again, since a removal counts the name before it sets the time
        unit = 1_000_000 if changed % 1_000_000_000 else 1_000_000_000  # some file systems store seconds
        if not began // unit * unit <= changed <= time.time_ns():
            return handle, links
        if turn < _TURNS - 1:
            os.close(handle)
            time.sleep(unit / 1e9 + _TICK)
    return handle, 0


def trusted(uid: int) -> bool:
    """Return whether a user is trusted: root, or the user who runs this program."""
    return uid in (0, os.geteuid())


def resolve(path: str) -> str:
    """Return a path with its symbolic links resolved, all of which must belong to root.

    Raises:
        Untrusted, OSError: see `at`.
    """
    with at(path, follow=True) as place:
        return place.path


def objection(path: str) -> str:
    """Return why a path is unsafe to change, or to read before a change; empty if it is safe."""
    try:
        with at(path, follow=True):
            return ""
    except Untrusted as untrusted:
        return str(untrusted)
    except OSError:
        return ""  # the user of the path gets this error there


@contextmanager
def folder(path: str, *, follow: bool = True) -> Iterator[int]:
    """Open a folder for reading; by default, follow a symbolic link that root owns.

    Raises:
        Untrusted, OSError: see `at`; or it is no folder.
    """
    with at(path, follow=follow) as place:
        if place.exists and not stat.S_ISDIR(place.status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        handle = place.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def names(path: str) -> list[str]:
    """Return the names in a folder.

    Raises:
        Untrusted, OSError: see `folder`.
    """
    with folder(path) as handle:
        return os.listdir(handle)


def content(path: str, limit: int) -> bytes:
    """Return the content of a file.

    Raises:
        Untrusted, OSError: see `at`; or it is not a regular file, or larger than ``limit`` bytes.
    """
    with at(path, follow=True) as place:
        return read(place, limit)


def read(place: Place, limit: int) -> bytes:
    """Return the content of the file at a place.

    Raises:
        OSError: it is not a regular file, or larger than ``limit`` bytes.
    """
    handle = place.open(os.O_RDONLY)
    try:
        parts: list[bytes] = []
        left = limit + 1
        while left > 0:
            part = os.read(handle, min(left, 1 << 20))
            if not part:
                return b"".join(parts)
            parts.append(part)
            left -= len(part)
    finally:
        os.close(handle)
    raise OSError(errno.EFBIG, f"larger than {limit} bytes", place.path)


def described(error: OSError, path: str) -> str:
    """Return an error about a path as one line."""
    return str(error) if isinstance(error, Untrusted) else f"{visible(path)}: {error.strerror or error}"
