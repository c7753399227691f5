"""Write and read the archive of a bundle: a compressed tar file in exactly one possible form.

The same files give the same bytes: ordered names, one owner, mode and time for all files, no time in the gzip
header. So the reader need not handle other features of tar (links, devices, hostile paths, attributes,
duplicate names): it accepts a member only if its header equals, byte for byte, the header for its name and
size. Nothing is extracted. The reader yields the files one by one, and holds only one piece of a file in
memory.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from hardener.errors import HardenerError
from hardener.evidence.refusal import Refused

MAX_FILES = 500_000
MAX_BYTES = 64 << 30  # of all files together
MAX_FILE = (8 << 30) - 1  # the limit of a tar header
_MAX_RATIO = 200  # our text compresses to a tenth, the extreme (one error on every host) to a hundredth
_FREE = 64 << 20  # bytes before the ratio is checked

_BLOCK = 512
_PIECE = 1 << 16
_END = bytes(2 * _BLOCK)
_TIME = 315_532_800  # 1980-01-01: tar warns about 1970
_GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # gzip header without name, comment and time
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}


class Writer:
    """Writes an archive.

    Args:
        file: the open output file; it stays open.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
        self._digest = hashlib.sha256()
        self._last = ""
        self._files = 0
        self._bytes = 0

    def add(self, name: str, size: int, content: Iterable[bytes]) -> None:
        """Add a file. Files must come in the order of their names.

        Raises:
            HardenerError: the archive would be larger than its reader accepts.
        """
        self._files += 1
        self._bytes += size
        if size > MAX_FILE or self._files > MAX_FILES or self._bytes > MAX_BYTES:
            raise HardenerError(
                f"{name}: the bundle would exceed a limit: {MAX_FILES} files,"
                f" {MAX_FILE} bytes in a file, {MAX_BYTES} bytes in all",
                hint="export fewer runs into one bundle",
            )
        if not _NAME.fullmatch(name) or name <= self._last:
            raise ValueError(
                f"{name[:100]!r} is no file name of a bundle, or is out of order after {self._last[:100]!r}"
            )
        self._last = name
        self._write(_header(name, size))
        written = 0
        for piece in content:
            written += len(piece)
            self._write(piece)
        if written != size:
            raise ValueError(f"{name[:100]!r} has {written} bytes, not {size}")
        self._write(bytes(-size % _BLOCK))

    def close(self) -> str:
        """Finish the archive; return its SHA-256."""
        self._write(_END)
        self._emit(self._compressor.flush())
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._emit(self._compressor.compress(data))

    def _emit(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


@dataclass(slots=True)
class Member:
    """A file of an archive; it must be read before the next one."""

    name: str
    size: int
    _source: _Inflated = field(repr=False)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256, repr=False)
    _left: int = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.size

    def pieces(self) -> Iterator[bytes]:
        """Yield the unread part of the content, in pieces."""
        while self._left:
            piece = self._source.read(min(self._left, _PIECE))
            self._left -= len(piece)
            self._digest.update(piece)
            yield piece

    def read(self, limit: int) -> bytes:
        """Return the whole content of the file.

        Raises:
            Refused: it is larger than ``limit`` bytes.
        """
        if self.size > limit:
            raise Refused(self.name, f"too large: {self.size} bytes, at most {limit}")
        return b"".join(self.pieces())

    def sha256(self) -> str:
        """Read the remaining content; return the SHA-256 of the whole content."""
        for _ in self.pieces():
            pass
        return self._digest.hexdigest()


class Reader:
    """Reads an archive in one pass.

    Args:
        file: the archive.
        name: its name in refusals.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        self._source = _Inflated(file, name)

    def members(self) -> Iterator[Member]:
        """Yield the files in the order of their names.

        Raises:
            Refused: this is not an archive of this form, it was cut off, or other data follow it.
        """
        last = ""
        files = 0
        while any(header := self._source.read(_BLOCK)):
            member = self._member(header)
            if member.name <= last:
                again = "is in the archive twice" if member.name == last else f"stands after {last}"
                raise Refused(member.name, f"{again}; the files of a bundle are sorted by name")
            files += 1
            if files > MAX_FILES:
                raise Refused(self._name, f"more than {MAX_FILES} files")
            last = member.name
            yield member
            member.sha256()
            if any(self._source.read(-member.size % _BLOCK)):
                raise Refused(member.name, "the archive has data in the padding after this file")
        if any(self._source.read(_BLOCK)):
            raise Refused(self._name, "the archive has data after its end marker")
        self._source.end()

    def sha256(self) -> str:
        """Return the SHA-256 of the archive, once all members were read."""
        return self._source.digest.hexdigest()

    def _member(self, header: bytes) -> Member:
        """Return the member that a header describes."""
        parts = [header[start:end].rstrip(b"\0") for start, end in ((345, 500), (0, 100))]
        name = b"/".join(filter(None, parts)).decode("ascii", "backslashreplace")
        kind = header[156:157]
        if kind in _KINDS:
            raise Refused(name, f"is {_KINDS[kind]}; a bundle holds plain files only")
        if not _NAME.fullmatch(name):
            raise Refused(name, "not the name of a file of a bundle")
        digits = header[124:135]
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else -1
        if size < 0 or header != _header(name, size):
            raise Refused(
                name, "the header of this file in the archive does not have the form that hardener writes"
            )
        return Member(name, size, self._source)


class _Inflated:
    """The decompressed content of a file, read once and within limits."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._inflater = zlib.decompressobj(31)
        self._packed = b""
        self._given = 0
        self._taken = 0
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes."""
        pieces = []
        while size:
            piece = self._piece(size)
            if not piece:
                raise Refused(self._name, "cut off")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def end(self) -> None:
        """Require the end of the file."""
        if self._piece(1) or self._inflater.unused_data or self._fetch():
            raise Refused(self._name, "data follow the end of the archive")
        if not self._inflater.eof:
            raise Refused(self._name, "cut off")

    def _piece(self, size: int) -> bytes:
        """Read up to ``size`` bytes; return no bytes at the end of the file."""
        while not self._inflater.eof:
            if not self._packed:
                self._packed = self._fetch()
                if not self._packed:
                    return b""
            try:
                piece = self._inflater.decompress(self._packed, size)
            except zlib.error:
                raise Refused(self._name, "damaged, or not a gzip file") from None
            self._packed = self._inflater.unconsumed_tail
            self._given += len(piece)
            if self._given > MAX_BYTES + (MAX_FILES * 2 * _BLOCK):
                raise Refused(self._name, f"more than {MAX_BYTES} bytes when unpacked")
            if self._given > max(_FREE, _MAX_RATIO * self._taken):
                raise Refused(self._name, f"unpacks to more than {_MAX_RATIO} times its size")
            if piece:
                return piece
        return b""

    def _fetch(self) -> bytes:
        try:
            packed = self._file.read(_PIECE)
        except OSError as error:
            raise HardenerError(f"cannot read {self._name}: {error.strerror or error}") from error
        if not self._taken and not packed.startswith(_GZIP):
            raise Refused(
                self._name, "not a bundle: it does not begin with the gzip header that hardener writes"
            )
        self._taken += len(packed)
        self.digest.update(packed)
        return packed


def _header(name: str, size: int) -> bytes:
    """Return the tar header of a file: the same for all files except name and size."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, _TIME
    try:
        return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:
        raise Refused(name, "the name is too long for a tar archive") from None
