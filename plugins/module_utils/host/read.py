"""Read files with size limits."""

from __future__ import annotations

import os
from json import loads

from .errors import Absent, Failed

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

MAX_FILE = 8 * 1024 * 1024
_MAX_TOGETHER = 2 * 1024 * 1024
_MAX_FILES = 1024


def read_bytes(path: str, limit: int = MAX_FILE) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        Failed: it is larger than ``limit``.
    """
    # O_NONBLOCK: opening a FIFO must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        pieces: list[bytes] = []
        size = 0
        while size <= limit:
            piece = os.read(descriptor, 131072)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    raise Failed(f"{path} is larger than {limit} bytes")


def read_pseudo(path: str, folder: int | None = None) -> str:
    """Return the content of a pseudo file of the kernel, which is generated when it is read.

    The kernel fills whole pages with whole lines: less than half a page is the complete content, and needs no
    second read.

    Args:
        path: the file.
        folder: descriptor of the folder that a relative path begins at.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        text = os.read(descriptor, 65536)
        while len(text) >= 2048:
            piece = os.read(descriptor, 65536)
            if not piece:
                break
            text += piece
    finally:
        os.close(descriptor)
    return text.decode("utf-8", "backslashreplace")


def read_text(path: str, limit: int = MAX_FILE) -> str:
    """Return the content of a file as text; bytes that are not UTF-8 become backslash escapes."""
    return read_bytes(path, limit).decode("utf-8", "backslashreplace")


def read_record(path: str, limit: int, *, absent: str) -> Any:
    """Return the JSON document that a program of hardener has stored.

    Args:
        path: the file.
        limit: bytes that it may have.
        absent: what it means that there is none.

    Raises:
        Absent: there is none.
        Failed: it is not JSON, or too large.
        OSError: it cannot be read.
    """
    try:
        return loads(read_bytes(path, limit))
    except FileNotFoundError:
        raise Absent(absent) from None
    except (ValueError, RecursionError):
        raise Failed(f"{path} is not JSON") from None


def texts(paths: Sequence[str], instead: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield configuration files with their texts, in order; skip paths without a file.

    Args:
        paths: of the files.
        instead: texts of files that are not read.

    Raises:
        OSError: one cannot be read.
        Failed: they are too many, or together too large.
    """
    if len(paths) > _MAX_FILES:
        raise Failed(
            f"too many files to read: {len(paths)}, at most {_MAX_FILES}; the last one is {paths[-1]}"
        )
    left = _MAX_TOGETHER
    for path in paths:
        if instead and path in instead:
            yield path, instead[path]
            continue
        try:
            data = read_bytes(path, left)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except Failed:
            raise Failed(f"{path} and the files before it are larger than {_MAX_TOGETHER} bytes") from None
        left -= len(data)
        yield path, data.decode("utf-8", "backslashreplace")


def read_or(path: str, default: str) -> str:
    """Return the text of a small file without blanks around it, or ``default`` if it cannot be read."""
    try:
        return read_text(path).strip()
    except (OSError, Failed):
        return default


def drop_ins(folders: Sequence[str]) -> dict[str, str]:
    """Return the ``*.conf`` files in some folders, except hidden files: the path of each by its name.

    Args:
        folders: a name in an earlier one hides the same name in a later one.
    """
    names: dict[str, str] = {}
    for folder in reversed(folders):
        try:
            listed = os.listdir(folder)
        except OSError:
            continue
        found = (name for name in listed if name.endswith(".conf") and not name.startswith("."))
        names.update((name, f"{folder}/{name}") for name in found)
    return names
