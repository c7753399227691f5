"""Read the files of an image from its layers on the disk, merged like overlayfs, without a mount.

Layers are untrusted: every step uses a descriptor of the parent folder and follows no link; a link's target
is looked up inside the image again.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from typing import NamedTuple, Sequence

from ..host.errors import Failed, describe
from .files import MAX_FILE, Files, TooLarge, bounded

_MAX_LINKS = 40
_XATTRS = ("trusted.overlay.", "user.overlay.")  # the second one in a user namespace
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _Entry(NamedTuple):
    """The entry of a name in a merged folder: the folders of several layers, or one entry of another kind."""

    folders: list[int]
    holder: int = -1
    mode: int = 0


class Layers(Files):
    """An image's files.

    Args:
        folders: its layers, topmost first.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._layers = folders
        self._open: list[int] = []

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        try:
            found, name = self._look_up(path)
            return _content(found.holder, name) if found and stat.S_ISREG(found.mode) else None
        except OSError as error:
            raise Failed(f"{path} in a layer: {describe(error)}") from None
        finally:
            self._close()

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        try:
            found, _entry = self._look_up(path)
            merged: dict[str, bool] = {}
            for folder in found.folders if found else ():
                for name in bounded(path, os.listdir(folder)):
                    merged.setdefault(name, _is_whiteout(folder, name))
            return bounded(path, (name for name, gone in merged.items() if not gone))
        except OSError as error:
            raise Failed(f"{path} in a layer: {describe(error)}") from None
        finally:
            self._close()

    def _close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def _folder(self, path: str, within: int | None = None) -> int:
        descriptor = os.open(path, _FOLDER, dir_fd=within)
        self._open.append(descriptor)
        return descriptor

    def _look_up(self, path: str) -> tuple[_Entry | None, str]:
        """Resolve a path; return its entry with its last name, or None if it does not exist."""
        above = [_Entry([self._folder(layer) for layer in self._layers])]
        rest, links = deque(path.split("/")), 0
        name = ""
        while rest:
            name = rest.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                above = above[:-1] or above
                continue
            found = self._child(above[-1].folders, name)
            if found is None:
                return None, name
            if stat.S_ISLNK(found.mode):
                links += 1
                if links > _MAX_LINKS:
                    return None, name
                target = os.readlink(name, dir_fd=found.holder)
                above = above[:1] if target.startswith("/") else above
                rest.extendleft(reversed(target.split("/")))
            elif found.folders:
                above.append(found)
            else:
                return (None if any(part not in ("", ".") for part in rest) else found), name
        return above[-1], name

    def _child(self, folders: Sequence[int], name: str) -> _Entry | None:
        """Return an entry of a merged folder: from the topmost layer that has it; folders are merged."""
        merged: list[int] = []
        for folder in folders:
            try:
                mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(mode):
                if merged or _is_whiteout(folder, name):
                    break
                return _Entry([], folder, mode)
            merged.append(self._folder(name, folder))
            if _overlay(merged[-1], "redirect"):
                raise Failed("a layer has a folder that overlayfs redirects")
            if _overlay(merged[-1], "opaque") == b"y":
                break
        return _Entry(merged) if merged else None


def _content(folder: int, name: str) -> bytes:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Failed(f"{name} in a layer is no longer a file")
        if _overlay(file.fileno(), "metacopy") is not None:
            raise Failed(f"{name} in a layer has no content: overlayfs stored only its metadata there")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise TooLarge(f"{name} in a layer is larger than {MAX_FILE} bytes")
    return data


def _is_whiteout(folder: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _overlay(descriptor: int, what: str) -> bytes | None:
    """Return an extended attribute of overlayfs; None if it is not set."""
    for prefix in _XATTRS:
        try:
            return os.getxattr(descriptor, prefix + what)
        except OSError:
            continue
    return None
