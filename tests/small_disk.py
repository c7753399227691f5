"""A disk that is full, without a disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_file_past(size: int) -> Iterator[None]:
    """No file of this process may grow past so many bytes: writing fails as it does on a full disk.

    Around what is tested, never in a fixture: it holds for pytest's own output too, where that is a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
