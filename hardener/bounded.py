"""Read files, JSON and archives from untrusted sources within limits of size, depth and number of values.

Parsed JSON can take about thirty times the memory of its text, so the values are counted before it is parsed.
"""

from __future__ import annotations

import json
import lzma
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

MOST_LEVELS = 100  # of nesting: functions that walk through values are recursive, and Python limits recursion
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


def values(data: bytes) -> int:
    """Estimate the number of values in a JSON text by its punctuation; punctuation in strings counts too."""
    return sum(map(data.count, (b"{", b"[", b",", b":")))


def parse(data: bytes, *, most_values: int, most_levels: int = MOST_LEVELS, strict: bool = True) -> Any:
    """Parse JSON; if ``strict``, refuse extensions that Python accepts (``NaN``), and overflows (``1e999``).

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has more values than ``most_values``.
    """
    if values(data) > most_values:
        raise ValueError(f"the JSON has more than {most_values} values")
    try:
        found = json.loads(
            data, parse_constant=_finite if strict else None, parse_float=_finite if strict else None
        )
    except RecursionError as error:
        raise ValueError(f"values are nested more than {most_levels} levels deep") from error
    level = [found] if isinstance(found, (dict, list)) else []
    for _ in range(most_levels):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return found
    raise ValueError(f"values are nested more than {most_levels} levels deep")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number


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
