from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused, archive
from hardener.evidence.archive import Reader, Writer
from tests.unit.evidence.bundles import entry, packed, squeezed

FILES = {"a.txt": b"first\n", "b/c.txt": b"", "b/d.bin": bytes(range(256)) * 300}


def written(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = Writer(buffer)
    for name, content in files.items():
        writer.add(name, len(content), iter([content[:7], content[7:]]))
    writer.close()
    return buffer.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    reader = Reader(io.BytesIO(data), "it")
    return {member.name: member.read(1 << 20) for member in reader.members()}


def test_a_written_archive_can_be_read() -> None:
    assert read(written(FILES)) == FILES


def test_the_same_files_give_the_same_bytes() -> None:
    assert written(FILES) == written(FILES)


def test_tar_reads_the_archive_without_warnings(tmp_path: Path) -> None:
    (tmp_path / "it.tar.gz").write_bytes(written(FILES))
    result = subprocess.run(["tar", "-xvzf", "it.tar.gz"], cwd=tmp_path, check=True, capture_output=True)
    assert result.stderr == b""
    assert result.stdout.decode().split() == list(FILES)
    assert all((tmp_path / name).read_bytes() == content for name, content in FILES.items())


def test_headers_have_no_user_and_no_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(FILES))) as opened:
        for member in opened.getmembers():
            found = (member.uid, member.gid, member.uname, member.gname, member.mode, member.mtime)
            assert found == (0, 0, "", "", 0o644, 315_532_800)


def test_an_empty_archive_has_no_files() -> None:
    assert read(written({})) == {}


def test_the_digest_covers_all_bytes() -> None:
    data = written(FILES)
    reader = Reader(io.BytesIO(data), "it")
    for _ in reader.members():  # without reading what is in them
        pass
    assert reader.sha256() == hashlib.sha256(data).hexdigest()


def test_a_long_name_is_split_like_tar_does() -> None:
    name = "/".join(["folder" * 8] * 4)
    assert len(name) > 190
    assert read(written({name: b"x"})) == {name: b"x"}


def test_a_name_that_is_too_long_for_tar_is_refused() -> None:
    with pytest.raises(Refused, match="too long"):
        written({"x" * 300: b""})


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "a b", ".a", "a\n", "ä"])
def test_a_name_that_a_reader_refuses_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="is no file name of a bundle"):
        written({name: b""})


def test_files_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="is out of order"):
        written({"b": b"", "a": b""})


def test_a_file_of_another_size_than_announced_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 3 bytes, not 2"):
        Writer(io.BytesIO()).add("a", 2, [b"abc"])


def test_archives_that_exceed_a_readers_limits_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(HardenerError, match=r"the bundle would exceed a limit: .* 1000 bytes in all"):
        written(FILES)


def test_a_file_larger_than_the_limit_is_refused() -> None:
    reader = Reader(io.BytesIO(written(FILES)), "it")
    with pytest.raises(Refused, match=r"a\.txt: too large: 6 bytes, at most 5"):
        next(reader.members()).read(5)


def test_a_read_error_is_an_error_and_not_a_refusal() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(HardenerError, match=r"cannot read it: Input/output error") as error:
        list(Reader(Broken(), "it").members())  # type: ignore[arg-type]
    assert not isinstance(error.value, Refused)


def test_a_size_that_is_not_octal_is_refused() -> None:
    member = entry("a")
    member.size = 0
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\x80" + bytes(11)  # as GNU tar writes what octal digits cannot say
    data = packed([], tail=bytes(block) + bytes(1024))
    with pytest.raises(Refused, match="not have the form that hardener writes"):
        read(data)


def patched(*patches: tuple[int, bytes], size: int = 0, name: str = "a") -> bytes:
    """An archive of one entry as hardener writes it, but for some bytes of its header; the checksum fits."""
    member = entry(name)
    member.size = size
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    for offset, data in patches:
        block[offset : offset + len(data)] = data
    if not any(148 <= offset < 156 for offset, _ in patches):
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return squeezed(bytes(block) + bytes(size + -size % 512) + bytes(1024))


@pytest.mark.parametrize(
    "kind", [b"\0", b"7", b"8", b"D", b"K", b"L", b"M", b"N", b"S", b"V", b"X", b"g", b"x", b"A", b"\xff"]
)
def test_an_entry_with_another_type_flag_is_refused(kind: bytes) -> None:
    with pytest.raises(Refused, match=r"^a: "):
        read(patched((156, kind)))


@pytest.mark.parametrize(
    "patch",
    [
        (2, b"x"),  # behind the end of its name
        (100, b"0100644\0"),  # its mode with the kind of a file
        (100, b"   644 \0"),
        (108, b"0001750\0"),  # its owner
        (116, b"0000000 "),
        (124, b"          0\0"),  # its size
        (124, b"00000000000 "),
        (124, b"0\0\0\0\0\0\0\0\0\0\0\0"),
        (124, b"-0000000001\0"),
        (124, b"\xff" * 12),
        (136, b"00000000000\0"),  # its time
        (136, b"\x80" + bytes(11)),
        (148, b"0000000\0"),  # its checksum
        (157, b"/etc/shadow"),  # what it leads to
        (257, b"ustar  \0"),  # of GNU tar
        (257, b"\0" * 8),  # of Unix V7
        (263, b"01"),
        (265, b"root"),
        (297, b"root"),
        (329, b"0000000\0"),  # numbers of a device
        (345, b"\0x"),  # behind the end of its folder
        (483, b"\1"),  # where GNU tar has sparse files, and star a prefix that is shorter
        (500, b"x"),  # after the last field
        (511, b"\1"),
    ],
)
def test_an_entry_with_different_header_bytes_is_refused(patch: tuple[int, bytes]) -> None:
    with pytest.raises(Refused, match=r"not have the form that hardener writes|not the name of a file"):
        read(patched(patch))


@pytest.mark.parametrize(
    ("folder", "name"),
    [(b"..", b"a"), (b"/", b"a"), (b"b", b"a"), (b"b/", b"a"), (b"b", b"/a"), (b"", b"./a"), (b"b", b"")],
)
def test_a_name_that_is_split_differently_is_refused(folder: bytes, name: bytes) -> None:
    data = patched((0, name.ljust(100, b"\0")), (345, folder.ljust(155, b"\0")))
    with pytest.raises(Refused, match=r"not have the form that hardener writes|not the name of a file"):
        read(data)


PACKED = written(FILES)
PLAIN = zlib.decompress(PACKED, 31)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PACKED[:3] + b"\x08" + PACKED[4:10] + b"it.tar\0" + PACKED[10:], "not a bundle"),  # its name
        (PACKED[:3] + b"\x10" + PACKED[4:10] + b"more\0" + PACKED[10:], "not a bundle"),  # a comment
        (PACKED[:3] + b"\x04" + PACKED[4:10] + b"\2\0ab" + PACKED[10:], "not a bundle"),  # an extra field
        (PACKED[:3] + b"\x20" + PACKED[4:], "not a bundle"),  # encrypted
        (PACKED[:4] + b"\1\0\0\0" + PACKED[8:], "not a bundle"),  # its time
        (zlib.compress(PLAIN), "not a bundle"),
        (bz2.compress(PLAIN), "not a bundle"),
        (lzma.compress(PLAIN), "not a bundle"),
        (PLAIN, "not a bundle"),
        (PACKED + bytes(512), "follow the end"),
        (PACKED + squeezed(b""), "follow the end"),
        (squeezed(b"") + PACKED, "cut off"),
        (
            squeezed(PLAIN[:512]) + squeezed(PLAIN[512:]),
            "cut off",
        ),
        (squeezed(PLAIN + bytes(512)), "follow the end"),
        (squeezed(PLAIN[:-512]), "cut off"),
        (squeezed(bytes(512)), "cut off"),
        (PACKED[:-8] + bytes(4) + PACKED[-4:], "damaged"),  # its checksum
        (PACKED[:-4] + bytes(4), "damaged"),  # its length
        (PACKED[:10], "cut off"),
        (PACKED[:10] + b"\x07", "damaged"),  # a block of no kind
        (PACKED[:10] + bytes(100), "damaged"),
        (PACKED[:10] + b"\0\0\0\xff\xff" * 10_000, "cut off"),  # blocks of nothing
    ],
)
def test_data_compressed_otherwise_than_by_hardener_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(data)
