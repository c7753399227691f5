"""Read files, compressed data, JSON and archives from untrusted sources within limits.

Only this module and the collection's parser of JSON, which hosts use too, parse what others wrote; YAML that
people write is read by ``decisions/document.py``. A test finds all other parsers.
"""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from ansible_collections.hardener.docker.plugins.module_utils.host.limited_json import parse, values

__all__ = ["Archive", "inflate", "parse", "read", "values"]

_PIECE = 1 << 20
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


def read(path: Path, *, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``most`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"the file has more than {most} bytes")
    return data


def inflate(packed: bytes, *, most: int) -> bytes:
    """Decompress data in the format of gzip or zlib.

    Raises:
        ValueError: the data are damaged or cut off, or have more than ``most`` bytes.
    """
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        data = inflater.decompress(packed, most + 1)
    except zlib.error as error:
        raise ValueError(f"the compressed data cannot be read: {error}") from error
    if len(data) > most:
        raise ValueError(f"the decompressed data have more than {most} bytes")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("the compressed data are cut off, or other data follow them")
    return data


class Archive:
    """A ZIP archive within limits; the limit of bytes holds for the sum of its unpacked files.

    Raises:
        ValueError: it cannot be read, or exceeds a limit.
    """

    def __init__(self, file: IO[bytes], *, most_files: int, most_bytes: int) -> None:
        file.seek(0)
        # Python reads the whole directory of an archive, so its entries are counted before, by their mark.
        entries = sum(piece.count(b"PK\1\2") for piece in iter(partial(file.read, _PIECE), b""))
        if entries > most_files:
            raise ValueError(f"the archive has more than {most_files} files")
        try:
            self._archive = zipfile.ZipFile(file)
        except _UNREADABLE as error:
            raise ValueError(f"the archive cannot be read: {error}") from error
        if sum(info.file_size for info in self._archive.infolist()) > most_bytes:
            raise ValueError(f"the files in the archive have more than {most_bytes} bytes")

    def files(self) -> Iterator[str]:
        """Yield the names of its regular files."""
        for info in self._archive.infolist():
            if not info.is_dir() and (info.external_attr >> 16) & 0o170000 in (0, 0o100000):
                yield info.filename

    def unpack(self, name: str, target: IO[bytes]) -> None:
        """Write a file of the archive to another file.

        Raises:
            KeyError: there is no such file.
            ValueError: it cannot be unpacked.
        """
        info = self._archive.getinfo(name)
        try:
            with self._archive.open(info) as source:
                shutil.copyfileobj(source, target, _PIECE)
        except _UNREADABLE as error:
            raise ValueError(f"{info.filename[:100]!r} cannot be unpacked: {error}") from error
