"""The folder of the history, which only its owner can enter.

``history.sqlite3`` has runs, hosts and findings; ``runs/ID/`` the compressed snapshots of a run, one file for
each host; ``staging/`` the runs that are being recorded; ``locks/`` a file for each inventory; ``changes/``
the journal of each unfinished run (`journal`); ``number`` the last number of a run; ``retention.yml`` the
retention of runs, if a user wrote it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line


def default_home() -> Path:
    """Return the default folder: ``hardener`` below ``XDG_STATE_HOME`` or ``~/.local/state``.

    Raises:
        HardenerError: this user has no home folder.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # the specification ignores a relative path
        return Path(state) / "hardener"
    try:
        return Path.home() / ".local" / "state" / "hardener"
    except RuntimeError as error:
        raise HardenerError(
            "there is no home folder for the history", hint="give one: --home, or HARDENER_HOME"
        ) from error


class Home:
    """The folder of the history and its content.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database = self.path / "history.sqlite3"
        self.runs = self.path / "runs"
        self.staging = self.path / "staging"
        self.locks = self.path / "locks"
        self.changes = self.path / "changes"
        self.retention = self.path / "retention.yml"

    def prepare(self) -> None:
        """Create missing folders, for their owner only.

        Raises:
            HardenerError: a folder cannot be created, or another user could write in it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
            if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise HardenerError(
                    f"other users can write in the folder of the history, {line(str(self.path), 1000)}",
                    hint="remove their access, or name another folder with --home or HARDENER_HOME",
                )
            for folder in (self.runs, self.staging, self.locks, self.changes):
                folder.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> HardenerError:
        """Return the error for the user about a problem of this folder."""
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return HardenerError(f"the history in {line(str(self.path), 1000)}: {line(reason)}")
