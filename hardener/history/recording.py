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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from hardener.bounded import inflate, read
from hardener.files import sync_folder
from hardener.history.assessment_store import AssessmentStore, pack
from hardener.history.codec import Codec
from hardener.history.database import opened, select, transaction
from hardener.history.home import Home
from hardener.history.runs import RunRecord
from hardener.model import Control
from hardener.snapshot import MAX_BYTES
from hardener.text import scalar
from hardener.workfolder import new_folder

_SNAPSHOTS = "snapshots"


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
        with self._guarded():
            (self._folder / _SNAPSHOTS).mkdir(mode=0o700)

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
            return inflate(read(self._folder / _SNAPSHOTS / file, most=MAX_BYTES), most=MAX_BYTES)

    def finish(self, record: RunRecord, assessments: AssessmentStore) -> None:
        """Add the run to the history.

        Args:
            record: the metadata of the run.
            assessments: the findings, in the order of the reports.
        """
        with self._guarded():
            sync_folder(self._folder / _SNAPSHOTS)
            with opened(self._home.database) as connection, transaction(connection):
                self._insert(connection, record, assessments)
                # Folders without a row are removed in a transaction too, so never in between.
                (self._folder / _SNAPSHOTS).rename(self._home.runs / record.info.run_id)
                sync_folder(self._home.runs)
        self.discard()
        self._finished()

    def discard(self) -> None:
        """Remove the staging folder of an unfinished run."""
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _insert(
        self, connection: sqlite3.Connection, record: RunRecord, assessments: AssessmentStore
    ) -> None:
        codec = Codec()
        controls = [codec.encode(control) for control in assessments.controls]
        digest = hashlib.sha256(json.dumps(controls).encode("ascii")).hexdigest()
        known = connection.execute("SELECT 1 FROM catalogue WHERE digest = ?", (digest,)).fetchone()
        if not known:  # most runs use the same controls as the run before
            connection.execute("INSERT INTO catalogue VALUES (?, ?)", (digest, pack(controls)))
        counted = replace(record, not_begun=assessments.not_begun, change_failed=assessments.change_failed)
        run = connection.execute(
            "INSERT INTO run (id, verb, inventory, ended, hosts, unreachable, catalogue, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.info.run_id,
                record.verb,
                scalar(record.inventory),
                record.info.ended.timestamp(),
                len(assessments),
                len(assessments.unreachable),
                digest,
                json.dumps(codec.encode(counted)),
            ),
        ).lastrowid
        ids = [_control_id(connection, control) for control in assessments.controls]
        for place, each in enumerate(assessments.packed(), 1):
            row = (run, place, scalar(each.host), self._files.get(each.host), each.packed)
            connection.execute("INSERT INTO host VALUES (?, ?, ?, ?, ?)", row)
            findings = ((run, place, ids[number], status.value) for number, status in each.findings)
            connection.executemany("INSERT INTO finding VALUES (?, ?, ?, ?)", findings)
        connection.execute(
            "INSERT INTO tally SELECT run, section, status, count(*) FROM finding"
            " JOIN control ON id = control WHERE run = ? GROUP BY section, status",
            (run,),
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Discard the recording after an error."""
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self.discard()
            raise self._home.failure(error) from error


def _control_id(connection: sqlite3.Connection, control: Control) -> int:
    """Return the row of a control's slug and section, which all runs share."""
    key = (scalar(control.slug), scalar(control.section))
    connection.execute("INSERT OR IGNORE INTO control (slug, section) VALUES (?, ?)", key)
    found = select(connection, "SELECT id FROM control WHERE slug = ? AND section = ?", key, kinds=(int,))
    return int(next(found, (0,))[0])


def _compress(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as plain, os.fdopen(descriptor, "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
        file.flush()
        os.fsync(file.fileno())
