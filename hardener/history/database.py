"""Open the database of the history, and upgrade its tables.

All SQL is in this package: the tables here, the statements in ``store``, ``runs``, ``recording`` and
``timeline``. The rest of hardener uses ``History``, ``Recording``, ``StoredRun`` and ``Timeline``.

Values that are searched across runs are rows (the status of each control on each host); values that are only
read back are compressed JSON (verdicts with evidence, controls at the time of the run).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hardener.errors import HardenerError
from hardener.history.home import Home

_BUSY_S = 60.0  # seconds; writing a run of a thousand hosts takes less than two

# Released entries are never edited: a change is a new entry, and ``PRAGMA user_version`` counts them.
_MIGRATIONS = (
    (
        """CREATE TABLE catalogue (
            digest TEXT PRIMARY KEY,
            controls BLOB NOT NULL       -- compressed JSON
        ) WITHOUT ROWID""",
        """CREATE TABLE run (
            number INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which they ended
            id TEXT NOT NULL UNIQUE,
            verb TEXT NOT NULL,
            inventory TEXT NOT NULL,
            ended REAL NOT NULL,         -- seconds since 1970
            hosts INTEGER NOT NULL,
            unreachable INTEGER NOT NULL,
            catalogue TEXT NOT NULL REFERENCES catalogue,
            record TEXT NOT NULL         -- JSON
        )""",
        """CREATE TABLE host (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            place INTEGER NOT NULL,      -- in the order of the reports
            name TEXT NOT NULL,          -- to look for; the assessment has it exactly
            snapshot TEXT,               -- name of its file, none where there was no snapshot
            assessment BLOB NOT NULL,    -- compressed JSON
            PRIMARY KEY (run, place)
        )""",
        "CREATE INDEX host_by_name ON host (run, name)",
        """CREATE TABLE control (
            id INTEGER PRIMARY KEY,
            slug TEXT NOT NULL,
            section TEXT NOT NULL,
            UNIQUE (slug, section)
        )""",
        """CREATE TABLE finding (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            place INTEGER NOT NULL,
            control INTEGER NOT NULL REFERENCES control,
            status TEXT NOT NULL,
            PRIMARY KEY (run, place, control)
        ) WITHOUT ROWID""",
        """CREATE TABLE tally (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            section TEXT NOT NULL,
            status TEXT NOT NULL,
            findings INTEGER NOT NULL,
            PRIMARY KEY (run, section, status)
        ) WITHOUT ROWID""",
        """CREATE TABLE baseline (
            inventory TEXT PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES run
        ) WITHOUT ROWID""",
    ),
)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, with the tables of this version; it is closed afterwards.

    Raises:
        HardenerError: a newer version of hardener wrote it.
        sqlite3.Error: it cannot be opened, or is not a database.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
        yield connection
    finally:
        connection.close()


@contextmanager
def connected(home: Home) -> Iterator[sqlite3.Connection]:
    """Open the database of a history; its errors inside the context become an error for the user.

    Raises:
        HardenerError: the database cannot be opened, read or written.
    """
    try:
        with opened(home.database) as connection:
            yield connection
    except (sqlite3.Error, OSError, UnicodeError) as error:
        raise home.failure(error) from error


def select(
    connection: sqlite3.Connection,
    statement: str,
    values: Sequence[str | int] = (),
    *,
    kinds: tuple[Any, ...],
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a statement, whose values must have these types: SQLite stores any type.

    Raises:
        sqlite3.Error: a value has another type, or the rows cannot be read.
    """
    for row in connection.execute(statement, values):
        if not all(map(isinstance, row, kinds)):
            raise sqlite3.DataError("a row is damaged: a value has another type than it was stored with")
        yield row


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction with one writer at a time."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # after a full disk SQLite has rolled back already
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == len(_MIGRATIONS):
        return
    with transaction(connection):
        version = _version(connection)  # another process may have upgraded it first
        if version > len(_MIGRATIONS):
            raise HardenerError(
                f"{path} was written by a newer hardener", hint="update hardener, or give another --home"
            )
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
