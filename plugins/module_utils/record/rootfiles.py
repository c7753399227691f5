"""Read owners and capabilities of files in a container's root file system, with its user namespace's ids."""

from __future__ import annotations

import json
import os
import stat
import struct
from typing import Any, Callable, Iterable

from ..host import limits
from ..host.read import read_pseudo
from ..host.text import shown

_RESOLVE_SECONDS = 10
_MAX_ANSWER = 16 << 20
_MAX_FOLDERS, _MAX_ENTRIES = 20, 2_000


def programs(pid: int, paths: Iterable[bytes], *, folder: str) -> dict[str, dict[str, Any]]:
    """Return the file, the owners and the file capabilities of programs in the root of a process.

    Args:
        pid: the process.
        paths: of the programs, as they were executed.
        folder: where relative paths begin.
    """
    start = os.fsencode(folder)
    return _in_root(pid, paths, lambda path: _program(os.path.join(start, path)))


def owners(pid: int, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return owner and mode of files and folders in the root of a process, without following links."""
    return _in_root(pid, [os.fsencode(path) for path in paths], _owner)


def folders(pid: int, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return owner and mode of the folders below given ones, without those of other mounts.

    Args:
        pid: a process, in whose root they are.
        paths: the folders; one with too much below it is left out.
    """
    found = _in_root(pid, [os.fsencode(path) for path in paths], _below)
    return owners(pid, {path for each in found.values() for path in each["below"]})


def _in_root(
    pid: int, paths: Iterable[bytes], look: Callable[[bytes], dict[str, Any] | None]
) -> dict[str, dict[str, Any]]:
    """Look up paths in the root of a process.

    A forked process looks, with that root: no link leads out of it, and it is killed if it hangs. Python must
    load nothing there, since the container could have written it: names are made printable before.
    """
    names = {shown(path): path for path in paths}
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            limits.become_helper(parent, _RESOLVE_SECONDS)
            os.close(reader)
            os.chroot(f"/proc/{pid}/root")
            os.chdir("/")
            with os.fdopen(writer, "wb") as answer:
                answer.write(json.dumps({name: look(path) for name, path in names.items()}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read(_MAX_ANSWER)
    os.waitpid(child, 0)
    try:
        found: dict[str, dict[str, Any]] = json.loads(text)
    except ValueError:
        return {}
    ids = Ids(pid)
    return {path: ids.inside(each) for path, each in found.items() if each}


class Ids:
    """Maps the host's user and group ids to those of a process's user namespace."""

    def __init__(self, pid: int) -> None:
        self._maps = {kind: _id_map(f"/proc/{pid}/{kind}_map") for kind in ("uid", "gid")}

    def one(self, kind: str, number: int) -> int:
        """Return an id in the namespace; the host's id if it is not mapped."""
        for inside, outside, count in self._maps[kind]:
            if outside <= number < outside + count:
                return inside + number - outside
        return number

    def inside(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return the facts with user and group ids of the namespace in place of the host's."""
        return {
            key: self.one(key, value) if key in self._maps and value is not None else value
            for key, value in found.items()
        }


def _id_map(path: str) -> list[list[int]]:
    try:
        return [[int(word) for word in line.split()] for line in read_pseudo(path).splitlines()]
    except (OSError, ValueError):
        return []


def _owner(path: bytes) -> dict[str, Any] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return {"uid": found.st_uid, "gid": found.st_gid, "mode": stat.S_IMODE(found.st_mode)}


def _below(path: bytes) -> dict[str, Any] | None:
    """Return the folders below a folder of the root file system; None if there is too much below it."""
    try:
        device, entries, left, found = os.lstat("/").st_dev, 0, [path], []
        while left:
            folder = left.pop()
            if os.lstat(folder).st_dev != device:
                continue
            found += [shown(folder)] if folder != path else []
            for entry in os.scandir(folder):
                entries += 1
                left += [entry.path] if entry.is_dir(follow_symlinks=False) else []
                if entries > _MAX_ENTRIES or len(found) + len(left) > _MAX_FOLDERS:
                    return None
    except OSError:
        return None
    return {"below": found}


def _program(path: bytes) -> dict[str, Any] | None:
    """Return the facts about a program; None if it cannot be found, or its path is in /proc."""
    if path.startswith(b"/proc/"):
        return None
    file = os.path.realpath(path)
    try:
        found = os.lstat(file)
        followed = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or not os.path.samestat(found, followed):
        return None
    try:
        attribute = os.getxattr(path, "security.capability")
    except OSError:
        attribute = b""
    answer: dict[str, Any] = {
        "file": shown(file),
        "uid": found.st_uid if found.st_mode & stat.S_ISUID else None,
        "gid": found.st_gid if found.st_mode & stat.S_ISGID else None,
    }
    if len(attribute) >= 12:  # struct vfs_cap_data: revision and flag, then two pairs of 32 bits
        words = struct.unpack(f"<{len(attribute) // 4}I", attribute[: len(attribute) // 4 * 4])
        high = words[3] if len(words) > 3 else 0
        answer["capabilities"] = words[1] | high << 32
        answer["effective"] = bool(words[0] & 1)
    return answer
