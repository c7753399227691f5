"""Read listening Unix sockets, and find the files that they are bound to, even after the files were moved.

The kernel tells a socket's inode in /proc/net/unix, but not that of its file, which a rename or a hard link
gives another name. Its socket monitoring interface tells both: see sock_diag(7).
"""

from __future__ import annotations

import os
import stat
import struct
from _socket import AF_UNIX
from collections import deque

from ..host import netlink
from ..host.text import printable_path

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable, Iterator

_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
# struct unix_diag_req: family, protocol, padding, states, inode, attributes, cookie; struct unix_diag_msg:
# family, type, state, padding, inode, cookie.
_REQUEST, _MESSAGE = struct.Struct("=BBHIIIII"), struct.Struct("=BBBBIII")
_LISTENING = 1 << 10
_NAME, _FILE = 0, 1  # attributes of an answer; in a request the bits of those that it shall have
MAX_ENTRIES = 500  # of one folder, and of those in it
_MAX_TOGETHER = 5000
_MAX_NAMES = 64  # of one socket
_DEEPEST = 3
_INODE = 0xFFFFFFFF  # the bits of an inode that the kernel tells


class UnixSocket:
    """A listening socket: the name it was bound to, and the device and inode of its file."""

    __slots__ = ("device", "file", "name")

    def __init__(self, name: str, device: str, file: int) -> None:
        self.name = name  # "@name" without a file
        self.device = device  # "0:26"; empty without a file
        self.file = file

    def path(self) -> str | None:
        """Return the socket's path if its file still has the name to which the socket was bound."""
        try:
            status = os.stat(self.name)
        except (OSError, ValueError):
            return None
        return self.name if status.st_ino & _INODE == self.file else None


def listening() -> dict[int, UnixSocket]:
    """Return the listening sockets of this network namespace by the inode that /proc/PID/fd shows.

    Raises:
        OSError: the kernel does not tell them.
    """
    found: dict[int, UnixSocket] = {}
    request = _REQUEST.pack(AF_UNIX, 0, 0, _LISTENING, 0, (1 << _NAME) | (1 << _FILE), 0, 0)
    for content in netlink.ask(netlink.SOCK_DIAG, _BY_FAMILY, request, dump=True, least=_MESSAGE.size):
        number = _MESSAGE.unpack_from(content)[4]
        attributes = netlink.attributes(content[_MESSAGE.size :])
        name = attributes.get(_NAME, b"")
        if name:
            text = "@" + name[1:].decode("utf-8", "backslashreplace")
            file, device = 0, ""
            if _FILE in attributes:
                text = os.fsdecode(name.rstrip(b"\0"))
                file, raw = struct.unpack("=II", attributes[_FILE])
                device = f"{raw >> 20}:{raw & 0xFFFFF}"
            found[number] = UnixSocket(text, device, file)
    return found


def renamed(folders: Iterable[str], sockets: Iterable[UnixSocket]) -> list[str]:
    """Return the socket files in these folders whose path is not the one to which they were bound."""
    bound: dict[int, list[UnixSocket]] = {}  # by inode, which several file systems can have
    for socket in sockets:
        if socket.file:
            bound.setdefault(socket.file, []).append(socket)
    devices = {socket.device for some in bound.values() for socket in some}
    found: list[str] = []
    names = dict.fromkeys(bound, 0)
    for entry in _files(sorted(folders, key=lambda folder: _device_of(folder) not in devices)):
        inode = entry.inode() & _INODE
        for socket in bound.get(inode, ()):
            if names[inode] < _MAX_NAMES and _is_other_name(entry, socket):
                found.append(entry.path)
                names[inode] += 1
    return found


def _files(folders: Iterable[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the files in folders, up to a limit."""
    left = _MAX_TOGETHER
    for top in folders:
        waiting = deque([(top, 0)])
        here = MAX_ENTRIES
        while waiting and here > 0 and left > 0:
            folder, depth = waiting.popleft()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        here, left = here - 1, left - 1
                        if here < 0 or left < 0:
                            break
                        if not entry.is_dir(follow_symlinks=False):
                            yield entry
                        elif depth < _DEEPEST:
                            waiting.append((entry.path, depth + 1))
            except OSError:
                continue


def _device_of(path: str) -> str:
    """Return the device of a path; empty if there is none."""
    try:
        return _device(os.stat(path))
    except OSError:
        return ""


def _device(status: os.stat_result) -> str:
    return f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"


def _is_other_name(entry: os.DirEntry[str], socket: UnixSocket) -> bool:
    """Return whether an entry is the file of a socket that was bound under another name."""
    if entry.path == os.path.realpath(socket.name):
        return False
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and _device(status) == socket.device


def described(socket: UnixSocket, process: str) -> dict[str, object]:
    """Return the entry of a socket in the source `engine`."""
    return {
        "path": printable_path(socket.path() or "") or (None if socket.file else socket.name),
        "name": printable_path(socket.name),
        "process": process,
        "dev": socket.device,
        "ino": socket.file,
    }
