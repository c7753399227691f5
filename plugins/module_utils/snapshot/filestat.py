"""Read owner, mode and ACL of files, following links and recording their targets."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import struct

from ..host.descriptors import objection, trusted, user_mounts
from ..host.once import Once
from ..host.text import one_line, printable_path

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

_ACL = "system.posix_acl_access"
_ACL_TAGS = {0x01: "owner", 0x02: "user", 0x04: "owning-group", 0x08: "group", 0x10: "mask", 0x20: "other"}
_NO_ID = 0xFFFFFFFF
_MAX_NODES = 1024
_MAX_LINKS = 40  # same as the kernel's limit


class Files:
    """Stat records of paths; names of users and groups are looked up once."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any] | None] = {}
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._looked_up: dict[str, os.stat_result | None] = {}
        self._user_mounts = Once(user_mounts)

    def add(self, path: str) -> dict[str, Any] | None:
        """Read a path and keep its record."""
        path, key = os.path.normpath(path), record_key(path)
        if key not in self.records:
            self.records[key] = self._record(path)
        return self.records[key]

    def add_tree(self, path: str, limit: int = 2000, *, follow: bool = False) -> None:
        """Read a folder and everything below it, at most ``limit`` entries.

        With ``follow``, read also what is below the folders to which links in this folder lead.
        """
        self.add(path)
        count = 0
        tops = [path]

        def unreadable(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                reason = one_line(error.strerror or str(error))
                self.records[record_key(str(error.filename))] = {"error": reason}

        for top in tops:
            for folder, folders, names in os.walk(top, onerror=unreadable):
                for name in folders + names:
                    count += 1
                    if count > limit:
                        self.records[printable_path(path)] = {"error": f"more than {limit} entries below it"}
                        return
                    self.add(f"{folder}/{name}")
                if follow and folder == path:
                    inside = [f"{folder}/{name}" for name in folders]
                    tops += [each for each in inside if os.path.islink(each)]

    def _record(self, path: str) -> dict[str, Any] | None:
        try:
            own = os.lstat(path)
            real = os.path.realpath(path)
            target = printable_path(real) if real != path else None
            if stat.S_ISLNK(own.st_mode):
                try:
                    info = os.stat(path)
                except FileNotFoundError:
                    return self._described(path, own, "link", target)
            else:
                info = own
            return self._described(path, info, _kind(info.st_mode), target)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return {"error": one_line(error.strerror or str(error))}

    def _described(self, path: str, info: os.stat_result, kind: str, target: str | None) -> dict[str, Any]:
        uid = self._mounted_by(info) or info.st_uid
        described: dict[str, Any] = {
            "type": kind,
            "mode": f"{stat.S_IMODE(info.st_mode):04o}",
            "uid": uid,
            "gid": info.st_gid,
            "owner": self.user(uid),
            "group": self.group(info.st_gid),
            "target": target,
            "acl": [] if kind == "link" else self._acl(path),
            "size": info.st_size,
            "mtime": int(info.st_mtime),
            "ctime": int(info.st_ctime),
            "dev": f"{os.major(info.st_dev)}:{os.minor(info.st_dev)}",
            "ino": info.st_ino,
        }
        if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
            which = "b" if stat.S_ISBLK(info.st_mode) else "c"
            described["node"] = f"{which} {os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
        # Without a symbolic or hard link, no other user can have made the path lead here.
        untrusted = objection(path) if target is not None or (info.st_nlink > 1 and kind == "file") else ""
        more = {"untrusted": one_line(untrusted)} if untrusted else {}
        exchangeable = self._exchangeable(path)
        if exchangeable:
            more["exchangeable"] = one_line(exchangeable)
        return {**described, **more}

    def _exchangeable(self, path: str) -> str:
        """Return the first component of a path that users other than root can replace.

        Empty if there is none. Links are followed, and the folder of each link counts.
        """
        folder, names, links = "", _names(path), 0
        while names:
            name = names.pop()
            if name == "..":
                folder = os.path.dirname(folder).rstrip("/")
                continue
            here = f"{folder}/{name}"
            above, entry = self._status(folder or "/"), self._status(here)
            if above is None:
                return ""
            mode = stat.S_IMODE(above.st_mode)
            kept = mode & stat.S_ISVTX and entry is not None and trusted(entry.st_uid)
            if not trusted(above.st_uid) or (_others_change_entries(mode) and not kept):
                return f"{printable_path(folder or '/')} is of uid {above.st_uid}, mode {mode:04o}"
            mounted_by = self._mounted_by(entry) if entry is not None else 0
            if mounted_by:
                return f"{printable_path(here)} is on a file system that uid {mounted_by} mounted"
            folder = here
            if entry is not None and stat.S_ISLNK(entry.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    return ""
                target = os.readlink(here)
                folder = "" if target.startswith("/") else os.path.dirname(here).rstrip("/")
                names += _names(target)
        return ""

    def _mounted_by(self, status: os.stat_result) -> int:
        """Return the user who mounted the file system, and so decides who owns its files; 0 for root."""
        mounts: dict[int, int] = self._user_mounts.get_or({})
        return mounts.get(status.st_dev, 0)

    def _status(self, path: str) -> os.stat_result | None:
        if path not in self._looked_up:
            try:
                self._looked_up[path] = os.lstat(path)
            except FileNotFoundError:
                self._looked_up[path] = None
        return self._looked_up[path]

    def _acl(self, path: str) -> list[dict[str, Any]]:
        """Return all ACL entries; none if there are only the three that the mode contains."""
        try:
            data = os.getxattr(path, _ACL)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return []
            raise
        entries = parse_acl(data)
        for entry in entries:
            if entry["tag"] == "user":
                entry["name"] = self.user(entry["id"])
            elif entry["tag"] == "group":
                entry["name"] = self.group(entry["id"])
        return entries

    def user(self, uid: int) -> str:
        """Return the name of a user, or the number if it has none."""
        return _lookup(self._users, uid, lambda: pwd.getpwuid(uid).pw_name)

    def group(self, gid: int) -> str:
        """Return the name of a group, or the number if it has none."""
        return _lookup(self._groups, gid, lambda: grp.getgrgid(gid).gr_name)


def block_nodes(folder: str) -> list[str]:
    """Return the nodes of block devices in a folder and below; none for a path that is no folder."""
    found: list[str] = []
    for place, _folders, names in os.walk(folder):
        for name in names:
            try:
                mode = os.lstat(f"{place}/{name}").st_mode
            except OSError:
                continue
            if stat.S_ISBLK(mode):
                found.append(f"{place}/{name}")
        if len(found) > _MAX_NODES:
            break
    return found[:_MAX_NODES]


def _others_change_entries(mode: int) -> bool:
    """Return whether a folder's group or others may write and search it; the group bits limit an ACL."""
    return any(mode >> shift & 0o3 == 0o3 for shift in (3, 0))


def _names(path: str) -> list[str]:
    """Return the names in a path, in reverse order."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def record_key(path: str) -> str:
    """Return the key under which a path is recorded."""
    return printable_path(os.path.normpath(path))


def parse_acl(data: bytes) -> list[dict[str, Any]]:
    """Parse a POSIX ACL in the kernel's format; return no entries if the ACL only repeats the mode.

    The kernel's ABI fixes the format: a version, then (tag, permissions, id) per entry, little endian.
    """
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != 2:
        return []
    entries: list[dict[str, Any]] = []
    for offset in range(4, len(data) - 7, 8):
        tag, permissions, number = struct.unpack_from("<HHI", data, offset)
        letters = "".join(
            letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
        )
        entries.append(
            {
                "tag": _ACL_TAGS.get(tag, str(tag)),
                "id": None if number == _NO_ID else number,
                "name": None,
                "perms": letters,
            }
        )
    return entries if any(entry["tag"] in ("user", "group", "mask") for entry in entries) else []


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    return "socket" if stat.S_ISSOCK(mode) else "other"


def _lookup(known: dict[int, str], number: int, ask: Callable[[], str]) -> str:
    if number not in known:
        try:
            known[number] = ask()
        except KeyError:
            known[number] = str(number)
    return known[number]
