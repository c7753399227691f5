"""Map user and group ids of a container to those of the host, in owners, ACLs and capabilities of files."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import Failed

ACCESS_ACL, DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
CAPABILITY = "security.capability"

_ACL_VERSION = 2
_ACL_USER, _ACL_GROUP = 0x02, 0x08  # the ACL entries that name a user or group
_CAPABILITY_MASK, _V1, _V2, _V3 = 0xFF000000, 0x01000000, 0x02000000, 0x03000000
_EVERYBODY = 2**32 - 1


class Range(NamedTuple):
    """Subordinate ids of the host: id 0 of a container is ``start``."""

    start: int
    size: int


class Shift(NamedTuple):
    """A mapping of container users and groups to those of the host."""

    uids: Range
    gids: Range

    def uid(self, number: int) -> int:
        """Map a user id of a container to that of the host.

        Raises:
            Failed: the range does not reach that far.
        """
        return _shifted(number, self.uids, "user")

    def gid(self, number: int) -> int:
        """Map a group id of a container to that of the host.

        Raises:
            Failed: the range does not reach that far.
        """
        return _shifted(number, self.gids, "group")

    def fits(self, uid: int, gid: int) -> bool:
        """Return whether both ids are within the subordinate ranges."""
        return uid < self.uids.size and gid < self.gids.size

    def xattr(self, name: str, value: bytes) -> bytes:
        """Map the ids in an extended attribute of a file.

        Raises:
            Failed: it names an id that the range does not reach, or is none that the kernel knows.
        """
        if name in (ACCESS_ACL, DEFAULT_ACL):
            return self.acl(value)
        return self.capability(value) if name == CAPABILITY else value

    def acl(self, value: bytes) -> bytes:
        """Map the users and groups in an access control list."""
        if len(value) < 4 or len(value) % 8 != 4 or struct.unpack_from("<I", value)[0] != _ACL_VERSION:
            raise Failed("an access control list has an unknown format")
        entries = []
        shifted = {_ACL_USER: self.uid, _ACL_GROUP: self.gid}
        for tag, permissions, number in struct.iter_unpack("<HHI", value[4:]):
            named = shifted[tag](number) if tag in shifted else number
            entries.append(struct.pack("<HHI", tag, permissions, named))
        return value[:4] + b"".join(entries)

    def capability(self, value: bytes) -> bytes:
        """Map file capabilities, which store the root uid of their user namespace.

        Without that id they are valid on the host alone, and the kernel ignores them in a container.
        """
        if not self.uids.start:
            return value
        magic = struct.unpack_from("<I", value)[0] if len(value) >= 4 else 0
        revision, flags = magic & _CAPABILITY_MASK, magic & ~_CAPABILITY_MASK
        root = 0
        if revision == _V1 and len(value) == 12:
            sets = value[4:12] + bytes(8)
        elif revision == _V2 and len(value) == 20:
            sets = value[4:20]
        elif revision == _V3 and len(value) == 24:
            sets, root = value[4:20], struct.unpack_from("<I", value, 20)[0]
        else:
            raise Failed("a file's capabilities have an unknown format")
        return struct.pack("<I", _V3 | flags) + sets + struct.pack("<I", self.uid(root))


UNSHIFTED = Shift(Range(0, _EVERYBODY), Range(0, _EVERYBODY))


def _shifted(number: int, ids: Range, what: str) -> int:
    if number >= ids.size:
        raise Failed(f"{what} {number} is beyond the {ids.size} ids of the range")
    return ids.start + number
