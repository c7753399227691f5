"""Create work folders that are removed even after a crash: a process locks its folder until it ends.

``temporary_folder`` uses ``TMPDIR``; its first call in a process removes the folders of processes that were
killed.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = "hardener."
_UNLOCKED = "hardener-"  # The file system has no locks, so the sweep never takes the folder for abandoned.


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder below ``TMPDIR`` that only its owner can enter, and remove it at the end.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    _sweep_once(parent)
    lock = None
    try:
        folder, lock = new_folder(parent, prefix=_TEMPORARY)
    except OSError:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_UNLOCKED))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@functools.cache
def _sweep_once(parent: Path) -> None:
    """Remove the temporary folders of processes that no longer run."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and entry.is_dir(follow_symlinks=False):
                clear_away(Path(entry.path))


def new_folder(parent: Path, *, prefix: str = "") -> tuple[Path, int]:
    """Create a folder that only its owner can enter; return it with a descriptor that locks it until closed.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        # Before the lock is held, the sweep of another process can take the folder for abandoned.
        try:
            descriptor = _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue
        except OSError:
            folder.rmdir()
            raise
        if folder.is_dir():
            return folder, descriptor
        os.close(descriptor)


def clear_away(folder: Path) -> None:
    """Remove a folder of this user, unless a process still holds its lock."""
    with suppress(OSError):
        descriptor = _locked(folder)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """Return a descriptor that holds the lock of a folder.

    Raises:
        OSError: another process holds it, or it is not a folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
