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

KEEP_RUNS = 500
KEEP_DAYS = 400.0
_MOST = 1_000_000


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


def read_retention(path: Path) -> tuple[int, float]:
    """Return the number of runs and the number of days that are kept, from ``retention.yml`` or by default.

        keep_runs: 500     # the newest runs
        keep_days: 400     # and only those of this number of days

    These are the defaults: a run each day for more than a year, so that an auditor finds a whole year. The
    baseline and the newest run always stay; so does the run with which drift of an inventory is compared, as
    long as a run of the inventory is kept.

    Raises:
        HardenerError: the file cannot be read or has an error.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return KEEP_RUNS, KEEP_DAYS
    except OSError as error:
        raise HardenerError(f"cannot read {path}: {error.strerror}") from error
    return _parse_retention(path, text)


def _parse_retention(path: Path, text: bytes) -> tuple[int, float]:
    # Imported here: usually there is no such file.
    from pydantic import BaseModel, ConfigDict, Field, ValidationError  # noqa: PLC0415

    from hardener.decisions.document import parse  # noqa: PLC0415

    class Retention(BaseModel):
        model_config = ConfigDict(extra="forbid")
        keep_runs: int = Field(KEEP_RUNS, ge=1, le=_MOST)
        keep_days: float = Field(KEEP_DAYS, gt=0, le=_MOST)

    try:
        said = Retention.model_validate(parse(text, path).content or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise HardenerError(
            f"{path}: {line(key)}: {line(first['msg'])}",
            hint="the keys of this file are keep_runs and keep_days",
        ) from error
    return said.keep_runs, said.keep_days
