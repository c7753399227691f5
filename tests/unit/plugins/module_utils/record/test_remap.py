"""Copies of files have the owners inside the container, and are otherwise what they were."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import remap

ROOT = remap.Root(3_000_000, 231_072)  # the first does not fit into the header of an archive
CAPABILITY = b"\x01\x00\x00\x03\x00\x04\x00\x00\xff".decode("utf-8", "surrogateescape")
LONG = f"data/{'x' * 150}/\udcff"


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, **more: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.mode, made.mtime = kind, size, 0o4750, 1_700_000_000.25
    made.uid, made.gid = ROOT.uid + 33, ROOT.gid + 4
    for key, value in more.items():
        setattr(made, key, value)
    return made


MEMBERS = (
    member("data", tarfile.DIRTYPE, mode=0o1777),
    member("data/empty"),
    member("data/one", size=1),
    member("data/block", size=512),
    member("data/large", size=700_001, pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}),
    member(LONG, size=3),
    member("data/link", tarfile.SYMTYPE, linkname="/etc/passwd"),
    member("data/hard", tarfile.LNKTYPE, linkname="data/large"),
    member("data/pipe", tarfile.FIFOTYPE),
    member("data/root", size=5, uid=ROOT.uid, gid=ROOT.gid),
    member("data/foreign", size=5, uid=0, gid=0),
    member("data/beyond", size=5, uid=ROOT.uid + 65_536, gid=ROOT.gid + 65_536),
)


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for each in MEMBERS:
            made.addfile(each, io.BytesIO(content(each)))
    return buffer.getvalue()


def content(each: tarfile.TarInfo) -> bytes:
    return (each.name[-1:].encode("utf-8", "replace") * each.size)[: each.size]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[begin : begin + size] for begin in range(0, len(data), size))


@pytest.mark.parametrize(
    ("user", "of_root"), [(None, (0, 0)), (remap.User(7, 8), (7, 8))], ids=["root", "a user for root"]
)
@pytest.mark.parametrize("size", [77, 512, 1 << 20])
def test_owners_are_mapped_and_everything_else_is_copied(
    size: int, user: remap.User | None, of_root: tuple[int, int]
) -> None:
    copy = b"".join(remap.mapped(pieces(archive(), size), root=ROOT, user=user))
    owners = {}
    with tarfile.open(fileobj=io.BytesIO(copy)) as found:
        members = found.getmembers()
        for before, after in zip(MEMBERS, members, strict=True):
            for part in ("name", "type", "mode", "mtime", "linkname"):
                assert getattr(after, part) == getattr(before, part), (before.name, part)
            if before.isreg():
                file = found.extractfile(after)
                assert file is not None
                assert file.read() == content(before), before.name
            owners[after.name] = (after.uid, after.gid)
            assert after.pax_headers.keys().isdisjoint({"uid", "gid"})
        assert members[4].pax_headers["SCHILY.xattr.security.capability"] == CAPABILITY
    assert owners.pop("data/root") == of_root
    assert owners.pop("data/foreign") == owners.pop("data/beyond") == (65534, 65534)
    assert set(owners.values()) == {(33, 4)}


def test_files_of_root_get_another_owner_on_an_engine_that_does_not_remap_users() -> None:
    copy = b"".join(remap.mapped(pieces(archive(), 512), root=None, user=remap.User.of("7:8")))
    with tarfile.open(fileobj=io.BytesIO(copy)) as found:
        owners = {each.name: (each.uid, each.gid) for each in found}
    assert owners.pop("data/foreign") == (7, 8)
    assert owners.pop("data/root") == (ROOT.uid, ROOT.gid)
    assert remap.User.of("") is None


@pytest.mark.parametrize("data", [b"", b"no archive" * 100, archive()[:3000]])
def test_an_incomplete_archive_is_refused(data: bytes) -> None:
    with pytest.raises(Failed, match="the engine's archive cannot be read"):
        list(remap.mapped(pieces(data, 100), root=ROOT, user=None))


def test_a_name_that_is_read_as_a_header_is_an_error_of_the_archive() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(member("\n1 hdrcharset=Z\né"))
    data = buffer.getvalue().replace(b"hdrcharset=Z", b"hdrcharset=\xff")  # as the engine writes it
    with pytest.raises(Failed, match="the engine's archive cannot be read"):
        list(remap.mapped(pieces(data, 512), root=ROOT, user=None))


@pytest.mark.parametrize(
    ("info", "root"),
    [
        (
            {"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker/231072.231073"},
            remap.Root(231072, 231073),
        ),
        ({"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker"}, None),
        ({"SecurityOptions": None, "DockerRootDir": "/var/lib/docker/231072.231073"}, None),
        ({}, None),
    ],
)
def test_the_root_of_containers_is_read_from_the_engines_folder(
    info: dict[str, Any], root: remap.Root | None
) -> None:
    assert remap.root(info) == root
