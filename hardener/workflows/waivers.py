"""Add a waiver to a file that a person edits."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from hardener.decisions.document import parse, read
from hardener.decisions.waivers import waivers_of
from hardener.decisions.writing import Fields, with_waiver
from hardener.files import require_writable, write_text


def add_waiver(file: Path, fields: Fields, *, today: date) -> str:
    """Append a waiver to a file, which is created if it is missing; return its id.

    Args:
        file: the file of waivers; its content stays.
        fields: the fields of the waiver.
        today: the present day in UTC.

    Raises:
        HardenerError: the waiver is invalid, or the file cannot be written.
    """
    require_writable(file)
    with _locked(file):
        content = read(file).data if file.exists() else b""
        data = with_waiver(content, fields, path=file, today=today)
        write_text(file, data.decode(), shared=True)
    *_, written = waivers_of(parse(data, file), today).entries
    return written.id


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock, so that concurrent writers do not overwrite each other's waiver."""
    folder = os.open(file.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # The file itself is replaced by the write.
        yield
    finally:
        os.close(folder)
