from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused, archive
from hardener.evidence.archive import Reader, Writer
from tests.unit.evidence.bundles import entry, packed

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


def test_what_is_written_is_read() -> None:
    assert read(written(FILES)) == FILES


def test_the_same_files_give_the_same_bytes() -> None:
    assert written(FILES) == written(FILES)


def test_tar_reads_it_and_has_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "it.tar.gz").write_bytes(written(FILES))
    result = subprocess.run(["tar", "-xvzf", "it.tar.gz"], cwd=tmp_path, check=True, capture_output=True)
    assert result.stderr == b""
    assert result.stdout.decode().split() == list(FILES)
    assert all((tmp_path / name).read_bytes() == content for name, content in FILES.items())


def test_nobody_and_no_time_is_in_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(FILES))) as opened:
        for member in opened.getmembers():
            found = (member.uid, member.gid, member.uname, member.gname, member.mode, member.mtime)
            assert found == (0, 0, "", "", 0o644, 315_532_800)


def test_an_empty_archive_has_no_files() -> None:
    assert read(written({})) == {}


def test_the_sum_is_of_all_bytes() -> None:
    data = written(FILES)
    reader = Reader(io.BytesIO(data), "it")
    for _ in reader.members():  # without reading what is in them
        pass
    assert reader.sha256() == hashlib.sha256(data).hexdigest()


def test_a_long_name_is_split_as_tar_does_it() -> None:
    name = "/".join(["folder" * 8] * 4)
    assert len(name) > 190
    assert read(written({name: b"x"})) == {name: b"x"}


def test_a_name_that_tar_cannot_hold_is_refused() -> None:
    with pytest.raises(Refused, match="too long"):
        written({"x" * 300: b""})


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "a b", ".a", "a\n", "ä"])
def test_a_name_that_a_reader_refuses_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="after"):
        written({name: b""})


def test_files_out_of_order_are_not_written() -> None:
    with pytest.raises(ValueError, match="after"):
        written({"b": b"", "a": b""})


def test_a_file_that_changes_while_it_is_read_is_noticed() -> None:
    with pytest.raises(ValueError, match="has 3 bytes, not 2"):
        Writer(io.BytesIO()).add("a", 2, [b"abc"])


def test_what_no_reader_takes_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(HardenerError, match="too much for one bundle"):
        written(FILES)


def test_a_limit_holds_for_each_file() -> None:
    reader = Reader(io.BytesIO(written(FILES)), "it")
    with pytest.raises(Refused, match=r"a\.txt: too large: 6 bytes, at most 5"):
        next(reader.members()).read(5)


def test_a_reader_that_fails_is_no_refusal() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(HardenerError, match=r"cannot read it: Input/output error") as error:
        list(Reader(Broken(), "it").members())  # type: ignore[arg-type]
    assert not isinstance(error.value, Refused)


def test_a_size_in_another_notation_is_refused() -> None:
    member = entry("a")
    member.size = 0
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\x80" + bytes(11)  # as GNU tar writes what octal digits cannot say
    data = packed([], tail=bytes(block) + bytes(1024))
    with pytest.raises(Refused, match="not as hardener writes it"):
        read(data)
