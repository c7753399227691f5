"""Query the statuses of one host or one control over a series of runs, without reading assessments."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hardener.history.database import connected, select
from hardener.history.home import Home
from hardener.history.runs import StoredRun
from hardener.model import Status
from hardener.text import scalar


class StatusStep(NamedTuple):
    """The status of a control on a host from one run on; ``run`` is the run's index in the series."""

    slug: str
    run: int
    status: Status


class Timeline:
    """Runs over the same inventory by the same controls, oldest first.

    Args:
        home: folder of the history.
        runs: the runs, as ``History.series`` gives them.

    Raises:
        HardenerError: the history cannot be read. Every method can raise this.
    """

    def __init__(self, home: Path, runs: Sequence[StoredRun]) -> None:
        self._home = Home(home)
        self.runs = tuple(runs)
        self._places = {run.number: place for place, run in enumerate(runs)}
        self._numbers = ",".join(map(str, self._places))  # integers from the database

    def hosts(self) -> Mapping[str, StoredRun]:
        """Return the last run of each host, by the host's name in the database."""
        with self._reading() as connection:
            statement = f"SELECT name, max(run) FROM host WHERE run IN ({self._numbers}) GROUP BY name"  # noqa: S608
            found = list(select(connection, statement, kinds=(str, int)))
        return {name: self.runs[self._places[run]] for name, run in found}

    def controls(self) -> Mapping[str, list[Counter[Status]]]:
        """Return for each control the number of hosts by status, run by run."""
        counts: dict[str, list[Counter[Status]]] = {}
        statement = (
            "SELECT run, slug, status, hosts FROM (SELECT run, control, status, count(*) AS hosts"  # noqa: S608
            f" FROM finding WHERE run IN ({self._numbers}) GROUP BY run, control, status)"
            " JOIN control ON id = control"
        )
        with self._reading() as connection:
            for run, slug, status, hosts in select(connection, statement, kinds=(int, str, str, int)):
                of_control = counts.setdefault(slug, [Counter() for _ in self.runs])
                of_control[self._places[run]][Status(status)] += hosts
        return counts

    def steps(self, host: str) -> list[StatusStep]:
        """Return the first status of each control of a host, and each later change of it."""
        with self._reading() as connection:
            statement = steps_statement(self._numbers)
            found = select(connection, statement, (scalar(host),), kinds=(str, int, str))
            return [StatusStep(slug, self._places[run], Status(status)) for slug, run, status in found]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with connected(self._home) as connection:
                yield connection
        except (ValueError, KeyError) as error:
            raise self._home.failure(error) from error


def steps_statement(numbers: str) -> str:
    """Return the SQL statement of ``Timeline.steps``.

    ``CROSS JOIN`` keeps the order of the tables: SQLite has no statistics of them, and would otherwise read
    all findings of every run for one host.

    Args:
        numbers: the numbers of the runs, with commas between them.
    """
    return (
        "SELECT slug, run, status FROM (SELECT host.run, control, status,"  # noqa: S608 - integers
        " lag(status, 1, '') OVER (PARTITION BY control ORDER BY host.run) AS before"
        " FROM host CROSS JOIN finding ON finding.run = host.run AND finding.place = host.place"
        f" WHERE host.run IN ({numbers}) AND name = ?)"
        " JOIN control ON id = control WHERE status <> before ORDER BY control, run"
    )
