"""Map the owners of copied files.

An engine that remaps users reads archives of a container with the host's ids, and takes the ids of archives
that it writes for those inside containers. And where a profile has a user in place of root, the copies of
root's files belong to this user, as the originals have to.
"""

from __future__ import annotations

import re
import tarfile
from functools import partial
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from ..host.errors import Failed
from ..host.read import read_or

_ROOT = re.compile(r"/(\d+)\.(\d+)$")  # the end of the engine's folder
_NOBODY = 65534  # the owner that a container sees instead of ids that it does not have
_PIECE = 1 << 18
_IDS = 65536  # of a container, if its map cannot be read


class Root(NamedTuple):
    """The ids of the host that are root in containers."""

    uid: int
    gid: int
    ids: int = _IDS  # how many of each containers have


def is_active(info: Mapping[str, Any]) -> bool:
    """Return whether the engine remaps users."""
    return any("name=userns" in each for each in info.get("SecurityOptions") or ())


def root(info: Mapping[str, Any]) -> Root | None:
    """Return the ids of the host that are root in containers; None if they are those of the host's root."""
    found = _ROOT.search(str(info.get("DockerRootDir") or ""))
    return Root(int(found[1]), int(found[2])) if found and is_active(info) else None


def ids(pid: int) -> int:
    """Return how many ids the container of a process has; the usual number if that cannot be read."""
    words = read_or(f"/proc/{pid}/uid_map", "").split()
    return int(words[2]) if pid and len(words) == 3 else _IDS


class User(NamedTuple):
    """The ids of a user inside a container."""

    uid: int
    gid: int

    @classmethod
    def of(cls, text: str) -> User | None:
        """Return the user of a text such as ``999:998``; None for an empty one."""
        uid, _separator, gid = text.partition(":")
        return cls(int(uid), int(gid)) if text else None


def mapped(archive: Iterable[bytes], *, root: Root | None, user: User | None) -> Iterator[bytes]:
    """Yield a tar archive with other owners.

    Args:
        archive: its pieces.
        root: the ids of the host that are root in containers; None if the archive has those of containers.
        user: who gets the files of root; None if they stay root's.

    Raises:
        Failed: it is no tar archive, or incomplete.
    """
    try:
        yield from _mapped(archive, root, user)
    except (tarfile.TarError, ValueError) as error:  # the second from names that are read as headers
        raise Failed(f"the engine's archive cannot be read: {error}") from None


def _mapped(archive: Iterable[bytes], root: Root | None, user: User | None) -> Iterator[bytes]:
    with tarfile.open(fileobj=_File(archive), mode="r|", bufsize=_PIECE) as found:  # type: ignore[call-overload]
        for member in found:
            if root is not None:
                member.uid = _inside(member.uid, root.uid, root)
                member.gid = _inside(member.gid, root.gid, root)
            if user is not None and member.uid == 0:
                member.uid, member.gid = user.uid, member.gid or user.gid
            for key in ("uid", "gid"):
                member.pax_headers.pop(key, None)
            yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            content = found.extractfile(member) if member.isreg() else None
            if content is not None:
                yield from iter(partial(content.read, _PIECE), b"")
                yield bytes(-member.size % tarfile.BLOCKSIZE)
            found.members = []  # it would keep all of them
    yield bytes(2 * tarfile.BLOCKSIZE)


def _inside(number: int, first: int, root: Root) -> int:
    return number - first if first <= number < first + root.ids else _NOBODY


class _File:
    """The pieces of an archive as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer than ``size`` at the end alone."""
        while len(self._rest) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._rest += piece
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
