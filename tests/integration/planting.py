"""Secrets that a test plants, and the search for them in all that a command has written.

What is compressed is unpacked first, and every file is searched for each secret as it is and in the encodings
that a report could bring it into.
"""

from __future__ import annotations

import base64
import gzip
import io
import secrets
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Planted:
    """The secrets by the place where they were planted."""

    values: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        return self.values.setdefault(place, f"{place.replace(' ', '')}{secrets.token_hex(12)}")

    def found(self, data: bytes) -> set[str]:
        """Places of the secrets that are in these data, in whatever encoding."""
        return {place for place, value in self.values.items() if any(form in data for form in _forms(value))}

    def leaks(self, written: Mapping[str, bytes]) -> dict[str, set[str]]:
        """Places of the secrets that are in what was written, by its names."""
        return {name: found for name, data in written.items() if (found := self.found(data))}


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield raw.hex().encode()
    yield quote(value).encode()
    yield raw[::-1]
    for offset in range(3):  # base64 of it wherever it begins in what was encoded
        yield base64.b64encode(bytes(offset) + raw)[4:-4]


def pieces(folder: Path) -> dict[str, bytes]:
    """Everything in a folder by its name, what is packed unpacked."""
    return dict(_pieces(folder))


def _pieces(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name, data = str(path.relative_to(folder)), path.read_bytes()
            yield name, name.encode() + data
            yield from _unpacked(name, data)
            if data.startswith(b"SQLite format 3"):
                yield f"{name} row", b"\n".join(_rows(path))


def _unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(b"\x1f\x8b"):
        return
    plain = gzip.decompress(data)
    if not name.endswith(".tar.gz"):
        yield name, plain
        return
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive.getmembers():
            if source := archive.extractfile(member):
                content = source.read()
                yield f"{name}/{member.name}", content
                yield from _unpacked(f"{name}/{member.name}", content)


def _rows(path: Path) -> Iterator[bytes]:
    """Every value of a database, what is compressed unpacked."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                yield from map(_value, row)
    finally:
        connection.close()


def _value(value: Any) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
