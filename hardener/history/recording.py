"""Record a run: collect it in a staging folder, and move it into the history when it is complete.

A process holds a lock on its folder in ``staging/`` until it ends; the next recording removes folders without
a lock.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from hardener.files import sync_folder
from hardener.history.assessment_store import AssessmentStore, pack
from hardener.history.codec import Codec
from hardener.history.database import opened, transaction
from hardener.history.home import Home
from hardener.history.runs import RunRecord
from hardener.model import Control
from hardener.text import scalar
from hardener.workfolder import new_folder

# Only this process reads it, so it need not survive a crash.
_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE host
        (place INTEGER PRIMARY KEY, name TEXT, snapshot TEXT, unreachable INTEGER, assessment BLOB);
    CREATE TABLE control (number INTEGER PRIMARY KEY, slug TEXT, section TEXT);
    CREATE TABLE finding (place INTEGER, control INTEGER, status TEXT);
"""
_MOVE = (
    "INSERT INTO host SELECT :run, place, name, snapshot, assessment FROM staged.host",
    "INSERT OR IGNORE INTO control (slug, section) SELECT slug, section FROM staged.control",
    """INSERT INTO finding SELECT :run, place, main.control.id, status FROM staged.finding
        JOIN staged.control ON staged.control.number = staged.finding.control
        JOIN main.control USING (slug, section)""",
    """INSERT INTO tally SELECT :run, section, status, count(*) FROM staged.finding
        JOIN staged.control ON staged.control.number = staged.finding.control GROUP BY section, status""",
)
_SNAPSHOTS = "snapshots"
_STAGED = "run.sqlite3"


class Recording:
    """A run that is being recorded; ``finish`` adds it to the history, otherwise it is discarded.

    Args:
        home: the folder of the history.
        finished: called when the run is part of the history.

    Raises:
        HardenerError: nothing can be written there. Every method can raise this, which ends the recording.
    """

    def __init__(self, home: Home, finished: Callable[[], None] = lambda: None) -> None:
        self._home = home
        self._finished = finished
        self._files: dict[str, str] = {}
        self._lock: int | None = None
        try:
            self._folder, self._lock = new_folder(home.staging)
        except OSError as error:
            raise home.failure(error) from error
        self._staged: sqlite3.Connection | None = None
        with self._guarded():
            (self._folder / _SNAPSHOTS).mkdir(mode=0o700)
            self._staged = sqlite3.connect(self._folder / _STAGED, isolation_level=None)
            self._staged.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def keep(self, host: str, snapshot: Path) -> None:
        """Keep the snapshot of a host; its original file may be deleted afterwards."""
        name = f"{len(self._files) + 1:06}.json.gz"
        with self._guarded():
            _compress(snapshot, self._folder / _SNAPSHOTS / name)
        self._files[host] = name

    def snapshot(self, host: str) -> bytes | None:
        """Return the kept snapshot of a host; None if none was kept."""
        file = self._files.get(host)
        if file is None:
            return None
        with self._guarded():
            return gzip.decompress((self._folder / _SNAPSHOTS / file).read_bytes())

    def finish(self, record: RunRecord, assessments: AssessmentStore) -> None:
        """Add the run to the history.

        Args:
            record: the metadata of the run.
            assessments: the findings, in the order of the reports.
        """
        with self._guarded() as staged:
            self._stage(staged, assessments)
            staged.close()
            sync_folder(self._folder / _SNAPSHOTS)
            with opened(self._home.database) as connection:
                connection.execute("ATTACH ? AS staged", (str(self._folder / _STAGED),))
                with transaction(connection):
                    counted = replace(
                        record,
                        not_begun=assessments.not_begun,
                        change_failed=assessments.change_failed,
                    )
                    self._insert(connection, counted, assessments.controls)
                    # Folders without a row are removed in a transaction too, so never in between.
                    (self._folder / _SNAPSHOTS).rename(self._home.runs / record.info.run_id)
                    sync_folder(self._home.runs)
        self.discard()
        self._finished()

    def discard(self) -> None:
        """Remove the staging folder of an unfinished run."""
        if self._staged:
            with suppress(sqlite3.Error):
                self._staged.close()
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _stage(self, staged: sqlite3.Connection, assessments: AssessmentStore) -> None:
        """Write all rows of the run to a separate file, so that the database is locked only for a copy."""
        staged.execute("BEGIN")
        for place, each in enumerate(assessments.packed(), 1):
            row = (place, scalar(each.host), self._files.get(each.host), each.is_unreachable, each.packed)
            staged.execute("INSERT INTO host VALUES (?, ?, ?, ?, ?)", row)
            findings = ((place, number, status.value) for number, status in each.findings)
            staged.executemany("INSERT INTO finding VALUES (?, ?, ?)", findings)
        controls = enumerate(assessments.controls)
        staged.executemany(
            "INSERT INTO control VALUES (?, ?, ?)",
            ((number, scalar(control.slug), scalar(control.section)) for number, control in controls),
        )
        staged.execute("COMMIT")

    def _insert(
        self, connection: sqlite3.Connection, record: RunRecord, controls_of_run: Sequence[Control]
    ) -> None:
        codec = Codec()
        controls = [codec.encode(control) for control in controls_of_run]
        digest = hashlib.sha256(json.dumps(controls).encode("ascii")).hexdigest()
        known = connection.execute("SELECT 1 FROM catalogue WHERE digest = ?", (digest,)).fetchone()
        if not known:  # most runs use the same controls as the run before
            connection.execute("INSERT INTO catalogue VALUES (?, ?)", (digest, pack(controls)))
        run = connection.execute(
            "INSERT INTO run (id, verb, inventory, ended, hosts, unreachable, catalogue, record)"
            " SELECT ?, ?, ?, ?, count(*), coalesce(sum(unreachable), 0), ?, ? FROM staged.host",
            (
                record.info.run_id,
                record.verb,
                scalar(record.inventory),
                record.info.ended.timestamp(),
                digest,
                json.dumps(codec.encode(record)),
            ),
        ).lastrowid
        for statement in _MOVE:
            connection.execute(statement, {"run": run})

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """Discard the recording after an error."""
        try:
            yield self._staged  # type: ignore[misc]
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self.discard()
            raise self._home.failure(error) from error


def _compress(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as plain, os.fdopen(descriptor, "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
        file.flush()
        os.fsync(file.fileno())
