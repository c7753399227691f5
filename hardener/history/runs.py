"""Runs of the history as they are stored: a whole run, a part of it, a baseline."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from hardener.bounded import inflate, parse, read
from hardener.errors import HardenerError
from hardener.history.assessment_store import unpack
from hardener.history.codec import Codec
from hardener.history.database import connected, select
from hardener.history.home import Home
from hardener.history.inventories import inventory_key
from hardener.model import Assessment, Control, Status
from hardener.result_filter import Groups, ResultFilter
from hardener.run import RunInfo
from hardener.snapshot import MAX_BYTES, Snapshot
from hardener.text import line, scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The metadata of a run."""

    info: RunInfo
    verb: str  # the command: "audit", "harden", "provision", "drift"; "before harden" for its first audit
    exit_code: int
    inventory: str = ""  # whole path of a file or a folder, or the list as the user gave it
    inventory_digest: str = ""  # SHA-256 of its content at the time of the run, in hexadecimal
    limit: str = ""
    level: int = 2
    only: tuple[str, ...] = ()
    not_begun: int = 0  # hosts whose change was not begun; counted when the run is recorded
    change_failed: int = 0  # hosts whose change failed, likewise

    @property
    def kind(self) -> tuple[object, ...]:
        """Return the selected hosts and controls: only runs of the same kind are comparable."""
        return (
            inventory_key(self.inventory),
            self.limit,
            self.info.benchmark,
            self.level,
            *sorted(self.only),
        )


# Runs that are compared with an earlier one, and that no later one is compared with unless it is named.
DRIFT_VERBS = ("drift", "before drift")


class StoredRun:
    """A finished run. Its hosts are read on demand.

    Attributes:
        record: the metadata of the run.
        number: its place among the runs; a later one has a higher number.
        hosts: number of hosts, those included that could not be reached.
    """

    def __init__(
        self, home: Home, row: tuple[Any, ...], sections: Mapping[str, Mapping[Status, int]]
    ) -> None:
        self._home = home
        self.number: int
        self.hosts: int
        self._unreachable: int
        self.number, self.hosts, self._unreachable, self._catalogue, record = row
        self.record = Codec().decode(RunRecord, parse(record.encode()))
        self._sections = sections

    @property
    def id(self) -> str:
        """Return the identifier of the run, as in every report."""
        return self.record.info.run_id

    @property
    def info(self) -> RunInfo:
        """Return the metadata for reports."""
        return self.record.info

    def is_of(self, inventory: str) -> bool:
        """Return whether this is a run of the inventory with this name."""
        return inventory_key(self.record.inventory) == inventory_key(inventory)

    @property
    def unreachable(self) -> int:
        """Return the number of hosts that could not be reached."""
        return self._unreachable

    @property
    def sections(self) -> Mapping[str, Mapping[Status, int]]:
        """Return the number of findings by section and status."""
        return self._sections

    @property
    def is_whole(self) -> bool:
        """Return whether all hosts of the inventory were judged by all controls of the level."""
        return not (self.record.limit or self.record.only)

    @property
    def parts(self) -> Sequence[StoredRun]:
        """Return the runs that found the results, newest first."""
        return (self,)

    def counts(self) -> dict[Status, int]:
        """Return the number of findings of each status, 0 included."""
        return {status: sum(counts.get(status, 0) for counts in self.sections.values()) for status in Status}

    def assessments(self) -> Iterator[Assessment]:
        """Yield the assessments host by host in the order of the reports, exactly as they were added."""
        with self._reading() as connection:
            statement = "SELECT assessment FROM host WHERE run = ? ORDER BY place"
            yield from self._decoded(select(connection, statement, (self.number,), kinds=(bytes,)))

    def names(self) -> Iterator[str]:
        """Yield the names of the hosts, in the order of the reports."""
        with self._reading() as connection:
            statement = "SELECT name FROM host WHERE run = ? ORDER BY place"
            for (name,) in select(connection, statement, (self.number,), kinds=(str,)):
                yield name

    def moved(self, assessment: Assessment) -> Assessment:
        """Return an assessment of this run as later runs of hardener have changed it."""
        return assessment

    def assessment(self, host: str) -> Assessment | None:
        """Return the assessment of one host; None where the host was not part of the run."""
        with self._reading() as connection:
            return next((each for each in self.named(connection, scalar(host)) if each.host == host), None)

    def named(self, connection: sqlite3.Connection, name: str) -> Iterator[Assessment]:
        """Yield the assessments of the hosts that have a name in the database."""
        statement = "SELECT assessment FROM host WHERE run = ? AND name = ? ORDER BY place"
        return self._decoded(select(connection, statement, (self.number, name), kinds=(bytes,)))

    def snapshots(self) -> Iterator[tuple[str, bytes]]:
        """Yield each host with its snapshot document in the order of the reports; omit hosts without one."""
        with self._reading() as connection:
            statement = (
                "SELECT name, snapshot FROM host WHERE run = ? AND snapshot IS NOT NULL ORDER BY place"
            )
            for name, file in select(connection, statement, (self.number,), kinds=(str, str)):
                yield name, self._snapshot(file)

    def snapshot(self, host: str) -> bytes | None:
        """Return the snapshot document of one host; None without one."""
        with self._reading() as connection:
            statement = "SELECT snapshot FROM host WHERE run = ? AND name = ? AND snapshot IS NOT NULL"
            found = next(select(connection, statement, (self.number, scalar(host)), kinds=(str,)), None)
        return self._snapshot(found[0]) if found else None

    @cached_property
    def controls(self) -> tuple[Control, ...]:
        """Return the controls as they were at the time of the run."""
        codec = Codec()
        with self._reading() as connection:
            statement = "SELECT controls FROM catalogue WHERE digest = ?"
            ((packed,),) = select(connection, statement, (self._catalogue,), kinds=(bytes,))
            found = tuple(codec.decode(Control, each) for each in unpack(packed))
            if not all(self.info.benchmark in each.benchmarks for each in found):
                raise ValueError(f"its controls are not of the benchmark {self.info.benchmark}")
            return found

    @cached_property
    def _codec(self) -> Codec:
        return Codec({Control: (_no_encoder, self.controls.__getitem__)})

    def _decoded(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[Assessment]:
        for (packed,) in rows:
            yield self._codec.decode(Assessment, unpack(packed))

    def _snapshot(self, file: str) -> bytes:
        path = self._home.runs / self.id / file
        try:
            return inflate(read(path, most=MAX_BYTES), most=MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise HardenerError(f"cannot read the snapshot {path}: {line(reason)}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with connected(self._home) as connection:
                yield connection
        except (ValueError, LookupError, TypeError) as error:
            raise HardenerError(f"run {self.id} is damaged in the history: {line(repr(error))}") from error


def _no_encoder(_: Control) -> Any:
    raise TypeError("a stored run is read-only")


_CHANGING = ("harden", "provision")


class MovedBaseline(StoredRun):
    """A baseline, with the results that later runs of harden and provision have changed on its hosts.

    Args:
        run: the baseline.
        later: the later runs over its inventory, oldest first.
    """

    def __init__(self, run: StoredRun, later: Sequence[StoredRun]) -> None:
        self.__dict__.update(run.__dict__)
        self.moved_by = list(_changes(later))

    def assessment(self, host: str) -> Assessment | None:
        """Return the assessment of one host; None where the host was not part of the run."""
        found = super().assessment(host)
        return found and self.moved(found)

    def assessments(self) -> Iterator[Assessment]:
        """Yield the assessments host by host in the order of the reports."""
        yield from map(self.moved, super().assessments())

    def moved(self, assessment: Assessment) -> Assessment:
        """Return an assessment with the results that hardener has changed since."""
        found = {each.control.slug: each for each in assessment.findings}
        for pair in self.moved_by:
            earlier, later = (run.assessment(assessment.host) for run in pair)
            if earlier and later and not (earlier.unreachable or later.unreachable):
                known = {each.control.slug: each.verdict for each in earlier.findings}
                changed = (each for each in later.findings if known.get(each.control.slug) != each.verdict)
                found |= {each.control.slug: each for each in changed if each.control.slug in found}
        return replace(assessment, findings=tuple(found.values()))


def _changes(runs: Sequence[StoredRun]) -> Iterator[tuple[StoredRun, StoredRun]]:
    """Yield the audits before and after each change, oldest first; an interrupted change has only one."""
    for before, after in pairwise(runs):
        if after.record.verb in _CHANGING and before.record.verb == f"before {after.record.verb}":
            yield before, after


class SelectedResults:
    """The chosen results of one run, host by host.

    Args:
        run: the run.
        chosen: the filter; an empty one chooses everything.

    Attributes:
        hosts: number of all hosts.
        chosen_hosts: number of hosts with a chosen result.
        results: number of all results.
        chosen_results: number of chosen results.

    Raises:
        HardenerError: the filter names something that the run does not have.
    """

    def __init__(self, run: StoredRun, chosen: ResultFilter) -> None:
        self.run = run
        self.filter = chosen
        self.hosts = self.chosen_hosts = self.results = self.chosen_results = 0
        self._by_group = bool(chosen.limit) and chosen.names_groups([*map(scalar, run.names())])
        self._groups = groups_of(run, known=self._by_group) if chosen else {}
        chosen.check(run.controls, run.info.benchmark, self._groups)

    @property
    def info(self) -> RunInfo:
        """Return the metadata for reports, which say that the results are filtered."""
        return replace(self.run.info, filtered=str(self.filter), whole_hosts=not self.filter.of_findings)

    def takes_host(self, host: str) -> bool:
        """Return whether a host is chosen, whatever its results are."""
        return not self.filter.limit or self.filter.takes_host(host, self._groups.get(scalar(host)))

    def assessments(self) -> Iterator[Assessment]:
        """Yield the chosen hosts with their chosen results; update the counts of hosts and results."""
        for assessment in self.run.assessments():
            self.hosts += 1
            self.results += len(assessment.findings)
            found = self.filter.apply(assessment) if self.takes_host(assessment.host) else None
            if found or not self.filter:
                taken = found or assessment
                self.chosen_hosts += 1
                self.chosen_results += len(taken.findings)
                yield taken

    @property
    def without_groups(self) -> int:
        """Return the number of hosts that are left out although their groups are unknown, and decide."""
        if not self._by_group:
            return 0
        return sum(groups is None and not self.takes_host(host) for host, groups in self._groups.items())


def groups_of(run: StoredRun, *, known: bool) -> Groups:
    """Return the hosts of a run with their groups.

    Args:
        run: the run.
        known: whether the groups are read; otherwise they are None.
    """
    if not known:
        return dict.fromkeys(run.names())
    return {scalar(each.host): each.groups or _of_snapshot(run, each.host) for each in run.assessments()}


def _of_snapshot(run: StoredRun, host: str) -> Collection[str] | None:
    """Return the groups of a host from its snapshot, for assessments of a version that stored no groups."""
    try:
        data = run.snapshot(host)
        return Snapshot.parse(data, name="snapshot").groups if data else None
    except HardenerError:  # it is not known, and counted as such
        return None
