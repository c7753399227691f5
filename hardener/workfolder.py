"""Folders to work in that leave nothing behind: who works in one holds its lock, and the dead hold none."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def new_folder(parent: Path, *, prefix: str = "") -> tuple[Path, int]:
    """A new folder that only its owner can enter, and a descriptor that keeps it locked until it is closed.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        # Until it is locked, somebody who tidies up may take it for abandoned.
        with suppress(BlockingIOError, FileNotFoundError):
            descriptor = _locked(folder)
            if folder.is_dir():
                return folder, descriptor
            os.close(descriptor)


def clear_away(folder: Path) -> None:
    """Remove a folder, unless somebody still works in it."""
    with suppress(OSError):
        descriptor = _locked(folder)
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """A descriptor that holds the lock of a folder.

    Raises:
        OSError: somebody else holds it, or it is no folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
