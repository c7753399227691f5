"""The history: begin recordings, find runs by name, remove old runs."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from hardener.errors import HardenerError
from hardener.history.database import connected, select, transaction
from hardener.history.home import Home, read_retention
from hardener.history.inventories import KnownInventory, inventory_key, inventory_lock, listed
from hardener.history.recording import Recording
from hardener.history.runs import DRIFT_VERBS, MovedBaseline, StoredRun
from hardener.history.state import LatestState
from hardener.model import Status
from hardener.text import line, scalar
from hardener.workfolder import clear_away

BASELINE = "baseline"
_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")
_COLUMNS = "SELECT run.number, hosts, unreachable, catalogue, record FROM run"
_DAY_S = 86_400.0


# The last whole run behind the state by which drift of each inventory is told (``History.state``), as long as
# one of the inventory's runs is kept: a timer makes drift runs alone.
_REFERENCES = """
    SELECT max(number) FROM run
    WHERE verb NOT IN (?, ?) AND unreachable < hosts
        AND coalesce(json_extract(record, '$.limit'), '') = ''
        AND coalesce(json_array_length(record, '$.only'), 0) = 0
        AND inventory IN (
            SELECT inventory FROM (SELECT inventory, ended FROM run ORDER BY number DESC LIMIT ?)
            WHERE ended >= ?
        )
    GROUP BY inventory
"""


def is_relative(name: str) -> bool:
    """Return whether the name of a run depends on an inventory: ``latest``, ``latest~1``, ``baseline``."""
    return name == BASELINE or bool(_LATEST.fullmatch(name))


class History:
    """All runs in one folder.

    Args:
        home: the folder; it is created when the first run is recorded.
    """

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    @property
    def path(self) -> Path:
        """Return the folder of the history."""
        return self._home.path

    def begin(self) -> Recording:
        """Begin to record a run; remove the leftovers of killed runs.

        Raises:
            HardenerError: it cannot be recorded: no folder, no permission or no space.
        """
        self._home.prepare()
        keep_runs, keep_days = read_retention(self._home.retention)
        self._sweep()
        return Recording(self._home, finished=partial(self._forget, keep_runs, keep_days))

    def lock(
        self, inventory: str, *, exclusive: bool, waiting: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Hold the lock of an inventory during the context.

        Args:
            inventory: its name.
            exclusive: other runs may neither read nor change its hosts meanwhile; otherwise they may not
                change them.
            waiting: called if another run has to end first.

        Raises:
            HardenerError: nothing can be written there.
        """
        self._home.prepare()
        return inventory_lock(self._home, inventory, exclusive=exclusive, waiting=waiting)

    def runs(self, inventory: str | None = None) -> Iterator[StoredRun]:
        """Return the runs, newest first.

        Args:
            inventory: its name, to return only its runs.
        """
        if inventory is None:
            return self._load("ORDER BY number DESC")
        return self._runs_of(inventory, "ORDER BY number DESC")

    def inventories(self) -> list[KnownInventory]:
        """Return the inventories that have runs, sorted by their last run, newest first."""
        known: dict[str, KnownInventory] = {}
        for name, runs, ended in self._rows(
            "SELECT inventory, count(*), max(ended) FROM run GROUP BY inventory ORDER BY max(number) DESC",
            kinds=(str, int, float),
        ):
            one = known.setdefault(inventory_key(name), KnownInventory(name, 0, self._moment(ended)))
            known[inventory_key(name)] = replace(one, runs=one.runs + runs)
        return list(known.values())

    def run(self, name: str, inventory: str | None = None) -> StoredRun:
        """Return the run that has this name.

        Args:
            name: ``latest`` for the latest state, ``latest~1`` for the state before the newest run,
                ``baseline``, or an identifier or the beginning of one.
            inventory: name of the inventory that ``latest`` and ``baseline`` mean; None for the one that was
                used last. An identifier needs none.

        Raises:
            HardenerError: there is no such run, or more than one.
        """
        if is_relative(name):
            inventory = self.last_used if inventory is None else inventory
            if inventory is None:
                raise self._not_there(name)
            latest = _LATEST.fullmatch(name)
            run = self.state(inventory, int(latest[1] or 0)) if latest else self.baseline(inventory)
            if run:
                return run
            raise self._not_there(name, inventory)
        named = list(self._load("WHERE ?1 <> '' AND substr(id, 1, length(?1)) = ?1", name))
        exact = [each for each in named if each.id == name] or named
        if len(exact) == 1:
            return exact[0]
        if named:
            near = ", ".join(each.id for each in named[:3])
            raise HardenerError(
                f"{len(named)} runs have an id that begins with {line(repr(name))}",
                hint=f"give more of the id, such as {near}",
            )
        raise self._not_there(name)

    def series(self, run: StoredRun, most: int) -> list[StoredRun]:
        """Return a run and the earlier runs over the same inventory by the same controls, oldest first."""
        alike = (
            each for each in self.runs() if each.number <= run.number and each.record.kind == run.record.kind
        )
        return list(islice(alike, most))[::-1]

    def baseline(self, inventory: str) -> StoredRun | None:
        """Return the baseline of an inventory, if one was chosen."""
        return next(
            self._runs_of(inventory, "AND number IN (SELECT run FROM baseline) ORDER BY number DESC"), None
        )

    def moved_baseline(self, inventory: str) -> StoredRun | None:
        """Return the baseline of an inventory, if one was chosen, with what hardener has changed since."""
        chosen = self.baseline(inventory)
        if chosen is None:
            return None
        later = takewhile(lambda run: run.number > chosen.number, self.runs(inventory))
        moved = MovedBaseline(chosen, list(later)[::-1])
        return moved if moved.moved_by else chosen

    @property
    def last_used(self) -> str | None:
        """Return the name of the inventory of the newest run; None without runs."""
        return next((each.name for each in self.inventories()), None)

    def state(self, inventory: str, runs_ago: int = 0, *, reference: bool = False) -> StoredRun | None:
        """Return the newest result of every host and control of an inventory; None without runs.

        It is the newest run, or the ``LatestState`` of all runs by its benchmark since the last one over all
        hosts and controls; without such a run, of the newest run of each selection.

        Args:
            inventory: its name.
            runs_ago: number of newest runs that do not count.
            reference: whether drift is measured against it: runs of drift, and runs that reached no host, do
                not count.
        """
        found: list[StoredRun] = []
        for run in islice(self.runs(inventory), runs_ago, None):
            if reference and (run.record.verb in DRIFT_VERBS or run.unreachable == run.hosts):
                continue
            if not found or run.info.benchmark == found[0].info.benchmark:
                found.append(run)
                if run.is_whole:
                    break
        else:
            found = list({run.record.kind: run for run in reversed(found)}.values())[::-1]
        return LatestState(self._home, found) if len(found) > 1 else next(iter(found), None)

    def last_seen(self, inventory: str, host: str) -> datetime | None:
        """Return the end of the last run that has facts of a host; None without such a run."""
        names = self._spellings(inventory)
        found = self._rows(
            "SELECT ended FROM run JOIN host ON host.run = number"  # noqa: S608
            f" WHERE inventory IN ({_places(names)}) AND name = ? AND snapshot IS NOT NULL"
            " ORDER BY number DESC LIMIT 1",
            *names,
            scalar(host),
            kinds=(float,),
        )
        return self._moment(found[0][0]) if found else None

    def set_baseline(self, run: StoredRun) -> None:
        """Make a run the baseline of its inventory; retention never removes a baseline."""
        names = self._spellings(run.record.inventory)
        with connected(self._home) as connection, transaction(connection):
            connection.execute(f"DELETE FROM baseline WHERE inventory IN ({_places(names)})", names)  # noqa: S608
            connection.execute(
                "INSERT OR REPLACE INTO baseline SELECT inventory, number FROM run WHERE number = ?",
                (run.number,),
            )

    def forget(self, runs: Iterable[StoredRun]) -> int:
        """Remove runs, baselines included; return how many were still there.

        Raises:
            HardenerError: the history cannot be written.
        """
        numbers = ",".join(str(run.number) for run in runs)  # integers from the database
        with connected(self._home) as connection, transaction(connection):
            connection.execute(f"DELETE FROM baseline WHERE run IN ({numbers})")  # noqa: S608
            forgotten = self._delete(connection, f"number IN ({numbers})")
        self._remove_folders(forgotten)
        return len(forgotten)

    def _not_there(self, called: str, inventory: str | None = None) -> HardenerError:
        known = self.inventories()
        name = line(repr(called))
        if not known:
            return HardenerError(f"there is no run {name}", hint=f"no run is kept in {self.path}")
        if inventory is None:
            kept = sum(each.runs for each in known)
            return HardenerError(
                f"there is no run {name}", hint=f"{_kept(kept)}; `hardener runs list` lists them"
            )
        of = line(inventory, 1000)
        kept = sum(each.runs for each in known if inventory_key(each.name) == inventory_key(inventory))
        if not kept:
            return HardenerError(f"no run of {of} is kept", hint=f"there are runs of {listed(known)}")
        if called == BASELINE:
            return HardenerError(
                f"there is no baseline of {of}", hint="`hardener runs baseline RUN` makes a run the baseline"
            )
        return HardenerError(
            f"there is no run {name} of {of}", hint=f"{_kept(kept)}; `hardener runs list` lists them"
        )

    def _spellings(self, inventory: str) -> list[str]:
        """Return the names of an inventory in its stored runs."""
        key = inventory_key(scalar(inventory))
        names = [name for (name,) in self._rows("SELECT DISTINCT inventory FROM run", kinds=(str,))]
        return [name for name in names if inventory_key(name) == key]

    def _runs_of(self, inventory: str, then: str, *values: int) -> Iterator[StoredRun]:
        """Load runs of an inventory."""
        names = self._spellings(inventory)
        return self._load(f"WHERE inventory IN ({_places(names)}) {then}", *names, *values)

    def _rows(self, statement: str, *values: str, kinds: tuple[type, ...]) -> list[tuple[Any, ...]]:
        if not self._home.database.exists():
            return []
        with connected(self._home) as connection:
            return list(select(connection, statement, values, kinds=kinds))

    def _moment(self, seconds: float) -> datetime:
        with self._believed():
            return datetime.fromtimestamp(seconds, UTC)

    def _load(self, where: str, *values: str | int) -> Iterator[StoredRun]:
        """Load the runs that the given end of an SQL statement (``WHERE …``) selects."""
        if not self._home.database.exists():
            return
        with connected(self._home) as connection:
            kinds: tuple[type, ...] = (int, int, int, str, str)
            rows = list(select(connection, f"{_COLUMNS} {where}", values, kinds=kinds))
            numbers = ",".join(str(row[0]) for row in rows)
            statement = f"SELECT run, section, status, findings FROM tally WHERE run IN ({numbers})"  # noqa: S608
            counted = list(select(connection, statement, kinds=(int, str, str, int)))
        sections: dict[int, dict[str, dict[Status, int]]] = {}
        with self._believed():
            for run, section, status, findings in counted:
                sections.setdefault(run, {}).setdefault(section, {})[Status(status)] = findings
        for row in rows:
            with self._believed():
                stored = StoredRun(self._home, row, sections.get(row[0], {}))
            yield stored

    def _sweep(self) -> None:
        """Remove the leftovers of killed runs."""
        with connected(self._home) as connection, transaction(connection):
            known = {name for (name,) in select(connection, "SELECT id FROM run", kinds=(str,))}
            for path in self._home.runs.iterdir():
                if path.name not in known:
                    shutil.rmtree(path, ignore_errors=True)
        for path in self._home.staging.iterdir():
            clear_away(path)

    def _forget(self, keep_runs: int, keep_days: float) -> None:
        """Remove runs beyond the limits of retention; after an error the next run tries again."""
        forgotten: list[str] = []
        ended = time.time() - keep_days * _DAY_S
        with suppress(HardenerError), connected(self._home) as connection, transaction(connection):
            forgotten = self._delete(
                connection,
                "number NOT IN (SELECT run FROM baseline)"  # noqa: S608 - a constant
                " AND number <> (SELECT max(number) FROM run)"
                f" AND number NOT IN ({_REFERENCES})"
                " AND (ended < ? OR number NOT IN (SELECT number FROM run ORDER BY number DESC LIMIT ?))",
                *(*DRIFT_VERBS, keep_runs, ended, ended, keep_runs),
            )
        self._remove_folders(forgotten)

    @staticmethod
    def _delete(connection: sqlite3.Connection, which: str, *values: Any) -> list[str]:
        """Delete the rows of runs and of controls that no run needs; return the ids of the runs."""
        rows = connection.execute(f"DELETE FROM run WHERE {which} RETURNING id", values).fetchall()  # noqa: S608
        if rows:
            connection.execute("DELETE FROM catalogue WHERE digest NOT IN (SELECT catalogue FROM run)")
        return [name for (name,) in rows]

    def _remove_folders(self, runs: Iterable[str]) -> None:
        """Remove the snapshots of deleted runs; after a crash before that, the next run removes them."""
        for name in runs:
            if "/" not in name and name.strip("."):  # a damaged name could be another folder
                shutil.rmtree(self._home.runs / name, ignore_errors=True)

    @contextmanager
    def _believed(self) -> Iterator[None]:
        """Raise the error for a damaged history if the context reads malformed data from the database."""
        try:
            yield
        except (ValueError, TypeError, LookupError, OverflowError, OSError, RecursionError) as error:
            raise HardenerError(
                f"the history in {line(str(self._home.path), 1000)} is damaged: {line(str(error))}",
                hint="begin another one: --home, or move the folder away",
            ) from error


def _kept(runs: int) -> str:
    return f"{runs} run is kept" if runs == 1 else f"{runs} runs are kept"


def _places(values: Sequence[object]) -> str:
    """Return the placeholders of an SQL statement for these values."""
    return ", ".join("?" * len(values))
