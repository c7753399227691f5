"""Reach paths by open folders from `/` on, so that no link of another user leads a change elsewhere.

A symbolic link is followed only where root owns it and root alone decides which link has that name: root owns
the folder that holds it, nobody else may write it (an access control list shows in the group's bits), and the
same is so for the folders above, where a sticky one keeps root's own entries. Folders of others are entered,
but none of their links is followed there, and no file that has a second name, which could be any file of the
file system. A path that fails this raises `Untrusted`.

What was reached is a `Place`: an open folder, a name in it, and an open handle of what has the name. All that
is read or changed afterwards is reached from these, never by the path again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import contextmanager
from typing import Iterator, NamedTuple

from .text import visible

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _PATH | os.O_DIRECTORY  # as a folder: what is mounted there on demand is mounted now
_HANDLES = "/proc/self/fd/"
_MAX_LINKS = 40  # as the kernel
_OTHERS = 0o022  # with an access control list the group's bits are the most that it gives


class Untrusted(OSError):  # noqa: N818 - a decision, not a defect
    """A path that another user than root could lead elsewhere; nothing there was touched."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(errno.EPERM, reason, path)

    def __str__(self) -> str:
        return f"{visible(str(self.filename))}: {self.strerror}"


class Place(NamedTuple):
    """A name in an open folder.

    Attributes:
        path: where that is, without any link in it.
        folder: handle of the folder; of the last one that exists, where ``missing`` names others.
        name: the name in it.
        handle: what has the name, opened as a path; -1 where nothing has.
        missing: folders that would have to be made for it, from ``folder`` on.
        guarded: whether root alone decides what has the name.
    """

    path: str
    folder: int
    name: str
    handle: int
    missing: tuple[str, ...]
    guarded: bool

    @property
    def exists(self) -> bool:
        """Whether anything has the name."""
        return self.handle >= 0

    @property
    def status(self) -> os.stat_result:
        """What has the name: owner, mode, kind."""
        return os.fstat(self.handle)

    @property
    def link(self) -> str:
        """A path for calls that take no such handle; it leads to what was opened, wherever that is."""
        return f"{_HANDLES}{self.handle}"

    def needed(self) -> None:
        """Raise FileNotFoundError where folders above are missing."""
        if self.missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)

    def open(self, flags: int) -> int:
        """Open what has the name, for reading or writing its content.

        Raises:
            OSError: nothing has, or it is no file and no folder.
        """
        if not self.exists:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        if not (stat.S_ISREG(self.status.st_mode) or stat.S_ISDIR(self.status.st_mode)):
            raise OSError(errno.EINVAL, "it is no file", self.path)
        return os.open(self.link, flags | os.O_NONBLOCK | os.O_CLOEXEC)


class _Level(NamedTuple):
    """A folder on the way, open."""

    handle: int
    name: str
    ours: bool  # root alone decides which folder this is
    guarded: bool  # and what has a name in it
    sticky: bool  # or what root's own entries are called

    @classmethod
    def of(cls, handle: int, name: str, above: _Level | None) -> _Level:
        status = os.fstat(handle)
        ours = above is None or above.keeps(status)
        owned = trusted(status.st_uid)
        alone = owned and not status.st_mode & _OTHERS
        return cls(handle, name, ours, ours and alone, ours and owned and bool(status.st_mode & stat.S_ISVTX))

    def keeps(self, status: os.stat_result) -> bool:
        """Whether no other user can put anything in the place of this entry."""
        return self.guarded or (self.sticky and trusted(status.st_uid))


@contextmanager
def at(path: str, *, follow: bool = False) -> Iterator[Place]:
    """Open a place.

    Args:
        path: absolute. Links in its folders are followed where they are root's.
        follow: the same for a link that has the last name; without it, the place is that link.

    Raises:
        Untrusted: another user could lead it elsewhere.
        OSError: there is a file where a folder has to be, or links lead in a circle.
    """
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{path!r} is no absolute path")
    walk = _Walk(path, follow=follow)
    try:
        yield walk.place()
    except OSError as error:
        # What is called with an open folder reports the last name alone, or the handle.
        if not str(error.filename or "").startswith("/") or str(error.filename).startswith(_HANDLES):
            error.filename = path
        raise
    finally:
        walk.close()


class _Walk:
    """The way from `/` to a place, and all that is open on it."""

    def __init__(self, path: str, *, follow: bool) -> None:
        self._path = path
        self._follow = follow
        self._links = 0
        self._levels = [_Level.of(os.open("/", _FOLDER), "", None)]
        self._waiting = deque(_names(path))
        self._handle = -1  # of what has the last name

    def close(self) -> None:
        """Close everything."""
        for handle in (self._handle, *(level.handle for level in self._levels)):
            if handle >= 0:
                os.close(handle)

    def place(self) -> Place:
        """Go there."""
        while self._waiting:
            name = self._waiting.popleft()
            if name == "..":
                self._up(len(self._levels) - 1)
                continue
            last = not self._waiting
            try:
                handle = _open(self._levels[-1], name, folder=not last)
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
                return self._found(name)
            elif kind == stat.S_IFDIR:
                self._levels.append(_Level.of(handle, name, self._levels[-1]))
            else:
                os.close(handle)
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._path)
        # It ended with a folder that is open already, as `/` and a link to `..` do.
        top, above = self._levels[-1], self._levels[-2:][0]
        self._handle = os.dup(top.handle)
        return Place(self._named(), above.handle, top.name or ".", self._handle, (), above.guarded)

    def _up(self, depth: int) -> None:
        """Leave folders until so many are open below `/`, which has none above it."""
        while len(self._levels) > max(depth, 1):
            os.close(self._levels.pop().handle)

    def _go_along(self, handle: int, name: str) -> None:
        """Follow an open link, or raise where that must not be done."""
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, "the symbolic link leads in a circle", self._path)
        owner = os.fstat(handle).st_uid
        if not trusted(owner):
            raise Untrusted(
                self._named(name),
                f"this symbolic link belongs to uid {owner}, who could lead root anywhere by it:"
                " remove it, or have root own the link and its folder",
            )
        if not self._levels[-1].guarded:
            raise Untrusted(
                self._named(name),
                f"this symbolic link lies where others than root can put one ({self._loose()}):"
                " remove it, or let root alone write there",
            )
        target = os.readlink("", dir_fd=handle)  # of the very link that was looked at
        if target.startswith("/"):
            self._up(1)
        self._waiting.extendleft(reversed(_names(target)))

    def _found(self, name: str) -> Place:
        level, status = self._levels[-1], os.fstat(self._handle)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not level.guarded:
            raise Untrusted(
                self._named(name),
                f"this file has {status.st_nlink} names and lies where others than root can put one"
                f" ({self._loose()}), so that it may be any file: remove it, or copy it and let root alone"
                " write there",
            )
        return Place(self._named(name), level.handle, name, self._handle, (), level.guarded)

    def _nothing(self, names: list[str]) -> Place:
        """The place of what does not exist."""
        if ".." in names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path)
        level = self._levels[-1]
        return Place(self._named(*names), level.handle, names[-1], -1, tuple(names[:-1]), level.guarded)

    def _named(self, *names: str) -> str:
        return "/" + "/".join([*(level.name for level in self._levels[1:]), *names])

    def _loose(self) -> str:
        """The first folder on the way in which others decide what comes next, and how it is theirs."""
        names = []
        for level, below in zip(self._levels, [*self._levels[1:], None]):
            names.append(level.name)
            if not level.guarded and (below is None or not below.ours):
                break
        status = os.fstat(level.handle)
        return f"{'/'.join(names) or '/'} is of uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}"


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _open(level: _Level, name: str, *, folder: bool) -> int:
    if folder:
        try:
            return os.open(name, _FOLDER, dir_fd=level.handle)
        except NotADirectoryError:
            pass
    return os.open(name, _PATH, dir_fd=level.handle)


def trusted(uid: int) -> bool:
    """Whether a user may decide what this program does: root, and the one who runs it."""
    return uid in (0, os.geteuid())


def resolve(path: str) -> str:
    """Return the path without links in it, those that root owns followed.

    Raises:
        Untrusted, OSError: see `at`.
    """
    with at(path, follow=True) as place:
        return place.path


def objection(path: str) -> str:
    """Why nothing may be changed at a path, or read there for a change; empty where nothing is against it."""
    try:
        with at(path, follow=True):
            return ""
    except Untrusted as untrusted:
        return str(untrusted)
    except OSError:
        return ""  # whoever needs it hears of that there


@contextmanager
def folder(path: str, *, follow: bool = True) -> Iterator[int]:
    """Open a folder for reading its entries; a link of root's that has its name is followed, unless told not.

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
    """Return what a file holds.

    Raises:
        Untrusted, OSError: see `at`; or it is no file, or larger than ``limit`` bytes.
    """
    with at(path, follow=True) as place:
        return read(place, limit)


def read(place: Place, limit: int) -> bytes:
    """Return what the file at a place holds.

    Raises:
        OSError: it is no file, or larger than ``limit`` bytes.
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
    raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", place.path)


def described(error: OSError, path: str) -> str:
    """What went wrong with a path, in a line."""
    return str(error) if isinstance(error, Untrusted) else f"{visible(path)}: {error.strerror or error}"
