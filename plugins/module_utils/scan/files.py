"""Read files of a root file system, wherever it is stored, for its package database."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from typing import Iterable

from ..host.errors import Failed, describe
from ..host.read import read_bytes

MAX_FILE = 64 * 1024 * 1024
MAX_NAMES = 20000


class TooLarge(Failed):
    """The file exists and is too large to be read."""


class Files(ABC):
    """A root file system; paths are absolute in it, and symbolic links never lead out of it."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file; None if there is none.

        Raises:
            TooLarge: it is there and larger than ``MAX_FILE``.
            Failed: it is there and cannot be read.
        """

    @abstractmethod
    def names(self, path: str) -> list[str]:
        """Return the names in a folder; none if there is no such folder.

        Raises:
            TooLarge: it has more than ``MAX_NAMES``.
            Failed: it cannot be read.
        """


class HostFiles(Files):
    """The host's own root file system."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        try:
            found = os.stat(path)
            if found.st_size > MAX_FILE:
                raise TooLarge(f"{path} is larger than {MAX_FILE} bytes")
            return read_bytes(path, MAX_FILE) if stat.S_ISREG(found.st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Failed(describe(error)) from None

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        try:
            return bounded(path, os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise Failed(describe(error)) from None


def bounded(path: str, names: Iterable[str]) -> list[str]:
    """Return all names of a folder in order; raise if there are too many.

    Raises:
        TooLarge: there are more than ``MAX_NAMES``.
    """
    found = sorted(names)
    if len(found) > MAX_NAMES:
        raise TooLarge(f"{path} has more than {MAX_NAMES} files")
    return found
