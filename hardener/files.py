"""Write files atomically: after an error or an interruption the earlier file is unchanged."""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

STANDARD_OUTPUT = Path("-")


def write_text(path: Path, text: str, *, mode: int = 0o600, shared: bool = False) -> None:
    """Write a text file atomically.

    Args:
        path: the file.
        text: its content.
        mode: its mode; by default only its owner can read it.
        shared: keep the owner and the mode of the file that it replaces.

    Raises:
        HardenerError: it cannot be written.
    """
    output = OutputFile(path, mode=mode, shared=shared)
    try:
        output.write(text)
        output.complete()
        output.publish()
    finally:
        output.discard()


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of a folder to the disk.

    Raises:
        OSError: the folder cannot be opened, or its file system cannot guarantee it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OutputFile:
    """A file that is written next to its target, and renamed to it when it is complete.

    Args:
        path: the target; a device, a pipe or ``-`` (standard output) is written to directly.
        mode: its mode. By default only its owner can read it, because a report helps attackers.
        shared: keep the owner and the mode of the file that it replaces.

    Raises:
        HardenerError: it cannot be written. Every method except ``discard`` can raise this.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, shared: bool = False) -> None:
        self._path = path
        self._draft: Path | None = None
        self._is_borrowed = path == STANDARD_OUTPUT
        if self._is_borrowed:
            self._file: io.TextIOWrapper = _standard_output()
            return
        with self._named():
            # Renaming over a device or a pipe (/dev/stdout, /dev/null) would replace it for all processes.
            if path.exists() and not path.is_file():
                self._file = path.open("w", encoding="utf-8", newline="\n")
                return
            self._path = Path(os.path.realpath(path))  # Replace the file that a link points to, not the link.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._path.parent, prefix=".hardener-", suffix=".part")
            self._draft = Path(draft)
            os.fchmod(descriptor, mode)
            if shared:
                _take_over(descriptor, self._path)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")

    def write(self, text: str) -> None:
        """Append text."""
        with self._named():
            self._file.write(text)

    def complete(self) -> None:
        """Flush the file to the disk and close it; raise the error of the disk, if any."""
        with self._named():
            self._file.flush()
            if self._draft:
                os.fsync(self._file.fileno())
            self._close()

    def publish(self) -> None:
        """Rename the file to its target."""
        if self._draft:
            with self._named():
                self._draft.replace(self._path)
            self._draft = None

    def discard(self) -> None:
        """Remove the file if it was not published."""
        with suppress(
            OSError, ValueError
        ):  # The file is removed next, so an error of flushing does not matter.
            self._close()
        if self._draft:
            self._draft.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._is_borrowed:
            self._file.detach()  # which flushes; others go on with standard output
        else:
            self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "" if self._draft is None else "an earlier file there is unchanged"
            raise HardenerError(
                f"cannot write {line(str(self._path))}: {error.strerror or error}", hint=hint
            ) from error


def _standard_output() -> io.TextIOWrapper:
    """Return standard output in UTF-8 with LF, whatever the locale."""
    sys.stdout.flush()
    return io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n")


def _take_over(descriptor: int, path: Path) -> None:
    """Set mode and owner of an open file to those of the file that it will replace."""
    try:
        known = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode))
    with suppress(PermissionError):  # Only root can change the owner.
        os.fchown(descriptor, known.st_uid, known.st_gid)


def require_folder(path: Path) -> None:
    """Check that files can be written into a folder, or that the folder can be created.

    Raises:
        HardenerError: they cannot.
    """
    if path.is_dir():
        if not os.access(path, os.W_OK):
            raise HardenerError(f"cannot write into {path}: permission denied")
    elif path.exists() or path == STANDARD_OUTPUT:
        raise HardenerError(f"cannot write into {path}: it is not a folder", hint="name a folder")
    else:
        require_writable(path)


def require_writable(path: Path) -> None:
    """Check that a file can be written, before the work for its content begins.

    Raises:
        HardenerError: it cannot.
    """
    if path == STANDARD_OUTPUT:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise HardenerError(
            f"cannot write {path}: there is no folder {folder}", hint="create the folder first"
        )
    try:
        is_folder = path.is_dir()
        # A device or a pipe is opened for writing; to replace a file takes write access to its folder.
        regular = path.is_file() or not path.exists()
    except OSError as error:
        raise HardenerError(f"cannot write {line(str(path))}: {error.strerror}") from error
    if is_folder:
        raise HardenerError(f"cannot write {path}: it is a folder", hint="name a file in it")
    if not os.access(folder if regular else path, os.W_OK):
        raise HardenerError(f"cannot write {path}: permission denied")
