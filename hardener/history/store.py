"""The history: begins recordings, finds runs by what people call them, forgets what is old."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hardener.errors import HardenerError
from hardener.history import retention
from hardener.history.database import opened, transaction
from hardener.history.home import Home
from hardener.history.recording import Recording, clear_away
from hardener.history.runs import Row, StoredRun
from hardener.text import line

BASELINE = "baseline"
_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")
_COLUMNS = "SELECT number, hosts, unreachable, catalogue, record FROM run"
_DAY_S = 86_400.0


class History:
    """All runs that are kept in one folder.

    Args:
        home: the folder; it is made when the first run is recorded.
    """

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._home.path

    def begin(self) -> Recording:
        """Begin to record a run; what killed runs have left is cleared away.

        Raises:
            HardenerError: it could not be recorded: no folder, no permission, no space.
        """
        self._home.prepare()
        keep_runs, keep_days = retention.load(self._home.retention)
        self._sweep()
        return Recording(self._home, finished=partial(self._forget, keep_runs, keep_days))

    def runs(self) -> Iterator[StoredRun]:
        """The runs, the newest first."""
        if self._home.database.exists():
            with self._connected() as connection:
                rows = connection.execute(f"{_COLUMNS} ORDER BY number DESC").fetchall()
            yield from (StoredRun(self._home, Row(*row)) for row in rows)

    def run(self, name: str) -> StoredRun:
        """The run that somebody calls so.

        Args:
            name: ``latest``, ``latest~1`` for the one before it, ``baseline``, or an identifier or the
                beginning of one.

        Raises:
            HardenerError: there is no such run, or more than one.
        """
        found = list(self._named(name))
        if len(found) == 1:
            return found[0]
        called = line(repr(name))
        if len(found) > 1:
            near = ", ".join(each.id for each in found[:3])
            raise HardenerError(f"{len(found)} runs begin with {called}", hint=f"such as {near}")
        if name == BASELINE:
            raise HardenerError(
                "there is no baseline", hint="`hardener baseline RUN` makes a run the baseline"
            )
        kept = sum(1 for _ in self.runs())
        hint = f"{kept} are kept; `hardener runs` lists them" if kept else f"none is kept in {self.path}"
        raise HardenerError(f"there is no run {called}", hint=hint)

    def set_baseline(self, run: StoredRun) -> None:
        """Make a run the one that drift is measured against; it is kept however old it gets."""
        with self._connected() as connection, transaction(connection):
            connection.execute("INSERT OR REPLACE INTO name VALUES (?, ?)", (BASELINE, run.number))

    def _named(self, name: str) -> Iterator[StoredRun]:
        if not self._home.database.exists():
            return
        value: str | int = name
        if latest := _LATEST.fullmatch(name):
            where, value = "ORDER BY number DESC LIMIT 1 OFFSET ?", int(latest[1] or 0)
        elif name == BASELINE:
            where = "JOIN name ON name.run = number AND name.name = ?"
        else:
            where = "WHERE substr(id, 1, length(?1)) = ?1"
        with self._connected() as connection:
            rows = connection.execute(f"{_COLUMNS} {where}", (value,)).fetchall() if name else []
        found = [StoredRun(self._home, Row(*row)) for row in rows]
        yield from [run for run in found if run.id == name] or found

    def _sweep(self) -> None:
        """Clear away what runs have left that were killed."""
        with self._connected() as connection, transaction(connection):
            known = {name for (name,) in connection.execute("SELECT id FROM run")}
            for path in self._home.runs.iterdir():
                if path.name not in known:
                    shutil.rmtree(path, ignore_errors=True)
        for path in self._home.staging.iterdir():
            clear_away(path)

    def _forget(self, keep_runs: int, keep_days: float) -> None:
        """Drop the runs that are too many or too old."""
        with self._connected() as connection, transaction(connection):
            forgotten = connection.execute(
                "DELETE FROM run WHERE number NOT IN (SELECT run FROM name)"
                " AND number <> (SELECT max(number) FROM run)"
                " AND (ended < ? OR number NOT IN (SELECT number FROM run ORDER BY number DESC LIMIT ?))"
                " RETURNING id",
                (time.time() - keep_days * _DAY_S, keep_runs),
            ).fetchall()
            if forgotten:
                connection.execute("DELETE FROM catalogue WHERE digest NOT IN (SELECT catalogue FROM run)")
        for (name,) in forgotten:  # killed before this is done, the next run finds folders without a row
            shutil.rmtree(self._home.runs / name, ignore_errors=True)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with opened(self._home.database) as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise self._home.failure(error) from error
