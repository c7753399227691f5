"""Store the results of a scan on the host: its record, written atomically, and its cache."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import Any, Iterator

from ..contract import SCAN_FORMAT
from ..host import atomic, descriptors
from ..host.errors import Failed
from ..host.layout import RECORD

_LARGEST = 64 * 1024 * 1024


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Lock the folder of records for one run, and create it if needed.

    Temporary files of a killed run are removed.

    Raises:
        Failed: another run holds it, or it cannot be made.
    """
    try:
        atomic.make_folders(folder, 0o700)
        with descriptors.at(os.path.join(folder, "lock")) as place:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(place.name, flags, 0o600, dir_fd=place.folder)
    except OSError as error:
        raise Failed(descriptors.described(error, folder)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed("another scan of this host is running: try again when it has ended") from None
        try:
            for name in descriptors.names(folder):
                if name.endswith(atomic.SUFFIX):
                    atomic.remove(os.path.join(folder, name))
        except OSError as error:
            raise Failed(descriptors.described(error, folder)) from None
        yield
    finally:
        os.close(descriptor)


def load(folder: str) -> dict[str, Any]:
    """Return the record of the last run; empty if there is no valid one."""
    found = read_json(os.path.join(folder, RECORD))
    return found if found.get("format") == SCAN_FORMAT else {}


def store(folder: str, record: dict[str, Any]) -> None:
    """Replace the record.

    Raises:
        Failed: it cannot be written; the one before is still there.
    """
    write_json(os.path.join(folder, RECORD), record)


def read_json(path: str) -> dict[str, Any]:
    """Return a JSON object that hardener wrote; empty if it cannot be read."""
    try:
        found = json.loads(descriptors.content(path, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str, data: dict[str, Any]) -> None:
    """Write a file for root alone, atomically.

    Raises:
        Failed: it cannot be written.
    """
    try:
        atomic.make_folders(os.path.dirname(path), 0o700)
        atomic.write(path, json.dumps(data, separators=(",", ":")).encode())
    except OSError as error:
        raise Failed(descriptors.described(error, path)) from None
