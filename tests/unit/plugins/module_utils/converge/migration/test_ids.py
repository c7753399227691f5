from __future__ import annotations

import struct

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.ids import (
    ACCESS_ACL,
    CAPABILITY,
    DEFAULT_ACL,
    UNSHIFTED,
    Range,
    Shift,
)

SHIFT = Shift(Range(100_000, 65_536), Range(300_000, 1_000))
UNDEFINED = 0xFFFFFFFF


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def capability(revision: int, *words: int) -> bytes:
    return struct.pack(f"<{1 + len(words)}I", revision, *words)


def test_ids_are_shifted_into_the_range() -> None:
    assert (SHIFT.uid(0), SHIFT.uid(65_535), SHIFT.gid(33)) == (100_000, 165_535, 300_033)
    assert SHIFT.fits(65_535, 999)
    assert not SHIFT.fits(65_536, 0)
    assert not SHIFT.fits(0, 1_000)


@pytest.mark.parametrize(("kind", "number"), [("uid", 65_536), ("gid", 1_000), ("uid", 2**32 - 2)])
def test_an_id_beyond_the_range_fails(kind: str, number: int) -> None:
    with pytest.raises(Failed, match="is beyond the"):
        getattr(SHIFT, kind)(number)


@pytest.mark.parametrize("name", [ACCESS_ACL, DEFAULT_ACL])
def test_only_users_and_groups_of_an_acl_are_shifted(name: str) -> None:
    before = acl(
        (0x01, 6, UNDEFINED), (0x02, 4, 1000), (0x04, 5, UNDEFINED), (0x08, 7, 33), (0x10, 7, UNDEFINED)
    )
    assert SHIFT.xattr(name, before) == acl(
        (0x01, 6, UNDEFINED),
        (0x02, 4, 101_000),
        (0x04, 5, UNDEFINED),
        (0x08, 7, 300_033),
        (0x10, 7, UNDEFINED),
    )
    assert UNSHIFTED.xattr(name, before) == before


@pytest.mark.parametrize("value", [b"", b"\2\0\0", struct.pack("<I", 3), acl((1, 6, UNDEFINED)) + b"\0"])
def test_an_acl_of_an_unknown_format_fails(value: bytes) -> None:
    with pytest.raises(Failed, match="an unknown format"):
        SHIFT.acl(value)


def test_file_capabilities_get_the_root_of_their_user_namespace() -> None:
    first, second, effective = 1 << 13, 1 << 6, 1
    old = capability(0x02000000 | effective, first, 0, second, 0)
    assert SHIFT.xattr(CAPABILITY, old) == capability(0x03000000 | effective, first, 0, second, 0, 100_000)
    ancient = capability(0x01000000, first, 0)
    assert SHIFT.capability(ancient) == capability(0x03000000, first, 0, 0, 0, 100_000)
    nested = capability(0x03000000, first, 0, second, 0, 5)
    assert SHIFT.capability(nested) == capability(0x03000000, first, 0, second, 0, 100_005)
    assert UNSHIFTED.capability(old) == old


@pytest.mark.parametrize(
    "value",
    [b"", capability(0x02000000), capability(0x04000000, 1, 1, 1, 1), capability(0x03000000, 1, 0, 0, 0)],
)
def test_file_capabilities_of_an_unknown_format_fail(value: bytes) -> None:
    with pytest.raises(Failed, match="an unknown format"):
        SHIFT.capability(value)


def test_other_extended_attributes_are_unchanged() -> None:
    assert SHIFT.xattr("user.note", b"\2\0\0\0") == b"\2\0\0\0"
