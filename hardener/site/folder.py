"""Write the files of a site: replace changed files, remove obsolete ones, leave all others unchanged.

The folder has a list of the site's files, ``.hardener-site``, one JSON value on each line. Each file is added
to the list before it is written, so that a later run knows the files of a killed one. Folders are opened by
descriptors and links are never followed, so that other users of the folder cannot redirect a write.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from hardener.bounded import parse
from hardener.errors import HardenerError
from hardener.text import line

LIST = ".hardener-site"
_FIRST = '{"hardener-site":1}\n'
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = re.compile(r"(?:[a-z0-9~][a-z0-9.~-]{0,120}/){0,4}[a-z0-9~][a-z0-9.~-]{0,120}")
_MOST_LISTED = 512 * 1024 * 1024  # bytes
_DRAFT = ".hardener-"


class Written(NamedTuple):
    """The numbers of files that a run has written and removed."""

    files: int  # in all
    changed: int
    removed: int


class _Entry(NamedTuple):
    key: str
    size: int


class SiteFolder:
    """The folder of a site, during one run.

    The files have the read permissions of the folder: only for its owner, unless others may read it.

    Args:
        path: the folder; it is created if it is missing, for its owner only.

    Raises:
        HardenerError: it has files but no list of a site, another run writes it, or it cannot be written.
            Every method can raise this.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listed: dict[str, _Entry] = {}
        self._now: dict[str, _Entry] = {}
        self._changed = 0
        self._journal: IO[str] | None = None
        with self._named():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._lock_and_load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock of the folder; written files are kept."""
        if self._journal:
            with suppress(OSError):
                self._journal.close()
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def keys(self, below: str) -> dict[str, str]:
        """Return, by path, the keys of the listed files whose path begins with ``below``."""
        return {path: entry.key for path, entry in self._listed.items() if path.startswith(below)}

    def keep(self, path: str, key: str) -> bool:
        """Keep a file if it exists and was written with this key; return whether it was kept."""
        entry = self._listed.get(path)
        if entry is None or entry.key != key or self._size(path) != entry.size:
            return False
        self._now[path] = entry
        return True

    def write(self, path: str, text: str, key: str = "") -> None:
        """Write a file atomically; a file that already has this content is not touched.

        Args:
            path: relative to the folder, made by ``names``.
            text: its content.
            key: the digest of its sources, for ``keep``.
        """
        data = text.encode("utf-8", "backslashreplace")
        entry = _Entry(key, len(data))
        with self._named(path):
            if self._listed.get(path) != entry:
                self._add_to_list(path, entry)
            self._now[path] = entry
            *folders, name = path.split("/")
            with self._folder(folders, make=True) as folder:
                if not _has_content(folder, name, data):
                    self._replace(folder, name, data)
                    self._changed += 1

    def finish(self) -> Written:
        """Remove the site's files that this run neither wrote nor kept; return the numbers of files."""
        gone = [path for path in self._listed if path not in self._now]
        for path in gone:
            with self._named(path):
                self._remove(path)
        with self._named(LIST):
            rows = (json.dumps([path, *entry]) + "\n" for path, entry in sorted(self._now.items()))
            self._replace(self._top, LIST, (_FIRST + "".join(rows)).encode())
        return Written(len(self._now), self._changed, len(gone))

    def _lock_and_load(self) -> None:
        """Lock the folder, and read its list."""
        try:
            fcntl.flock(self._top, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HardenerError(f"another run writes the site in {self._shown()}") from error
        with self._named(LIST):
            found = os.listdir(self._top)  # noqa: PTH208 - by its descriptor
            if LIST in found:
                self._listed = self._read_list()
            elif found:
                raise HardenerError(
                    f"{self._shown()} holds files that `hardener report site` did not write",
                    hint="name an empty folder, or one that does not exist",
                )
            else:
                self._replace(self._top, LIST, _FIRST.encode())
            for name in found:
                if name.startswith(_DRAFT) and name.endswith(".part"):
                    os.unlink(name, dir_fd=self._top)
            # Opened anew for each run: the list is replaced when a run ends.
            descriptor = os.open(
                LIST, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top
            )
            self._journal = os.fdopen(descriptor, "w", encoding="utf-8")

    def _read_list(self) -> dict[str, _Entry]:
        descriptor = os.open(LIST, _FILE, dir_fd=self._top)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._refusal()
            data = file.read(_MOST_LISTED + 1)
        rows = data.split(b"\n")
        if rows[0] + b"\n" != _FIRST.encode() or len(data) > _MOST_LISTED:
            raise self._refusal()
        listed = {}
        for row in rows[1:]:
            with suppress(ValueError, TypeError):  # the last row of a killed run may be torn
                path, key, size = parse(row)
                if isinstance(path, str) and _OURS.fullmatch(path):
                    listed[path] = _Entry(str(key), int(size))
        return listed

    def _refusal(self) -> HardenerError:
        return HardenerError(
            f"{self._shown()}/{LIST} is not a list that `hardener report site` wrote",
            hint="name an empty folder, or one that does not exist",
        )

    def _add_to_list(self, path: str, entry: _Entry) -> None:
        """Add a file to the list before it is written."""
        assert self._journal
        if not _OURS.fullmatch(path):
            raise ValueError(f"{path[:300]!r} is not a path that `hardener report site` writes")
        self._journal.write(json.dumps([path, *entry]) + "\n")
        self._journal.flush()

    def _size(self, path: str) -> int:
        """Return the size of a regular file; -1 where there is none."""
        *folders, name = path.split("/")
        with suppress(OSError), self._folder(folders, make=False) as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return found.st_size if stat.S_ISREG(found.st_mode) else -1
        return -1

    def _remove(self, path: str) -> None:
        """Remove a file, and folders that become empty."""
        *folders, name = path.split("/")
        with suppress(FileNotFoundError, NotADirectoryError):
            with self._folder(folders, make=False) as folder:
                os.unlink(name, dir_fd=folder)
            while folders:
                *folders, last = folders
                with self._folder(folders, make=False) as folder:
                    try:
                        os.rmdir(last, dir_fd=folder)
                    except OSError:
                        return  # it has other files

    def _replace(self, folder: int, name: str, data: bytes) -> None:
        """Write a file under a temporary name and rename it: a link is replaced, not followed."""
        draft = f"{_DRAFT}{secrets.token_hex(8)}.part"  # in the folder where the next run looks for it
        descriptor = os.open(draft, _NEW, 0o600, dir_fd=self._top)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600 | self._readers())
                file.write(data)
            os.rename(draft, name, src_dir_fd=self._top, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft, dir_fd=self._top)
            raise

    @contextmanager
    def _folder(self, names: Sequence[str], *, make: bool) -> Iterator[int]:
        """Open a folder of the site by the names of its path, one after the other."""
        folder = os.dup(self._top)
        try:
            for name in names:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=folder)
                        os.chmod(
                            name, 0o700 | self._readers(search=True), dir_fd=folder, follow_symlinks=False
                        )
                inner = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _readers(self, *, search: bool = False) -> int:
        """Return the read permissions of group and others on the site's folder, as mode bits."""
        found = os.fstat(self._top).st_mode & 0o044
        return found | found >> 2 if search else found

    @contextmanager
    def _named(self, path: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = line(str(self._path / path), 1000)
            raise HardenerError(f"cannot write {where}: {error.strerror or error}") from error

    def _shown(self) -> str:
        return line(str(self._path), 1000)


def _has_content(folder: int, name: str, data: bytes) -> bool:
    """Return whether a folder has a regular file of this name with this content."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        return stat.S_ISREG(found.st_mode) and found.st_size == len(data) and file.read() == data
