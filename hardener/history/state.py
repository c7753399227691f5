"""Join runs over parts of an inventory: the newest result of every host and control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from hardener.history.database import select
from hardener.history.home import Home
from hardener.history.runs import StoredRun
from hardener.model import Assessment, Control, Status
from hardener.text import first, line, scalar, utc

_NAMED = 10


class LatestState(StoredRun):
    """The results of several runs, read like those of one run over all hosts and all controls.

    It has the identifier and the number of the newest run. If the newest run over a host did
    not reach it, every control of the host is an error.

    Args:
        home: the folder of the history.
        runs: runs over one inventory by one benchmark, newest first; at most the last one is over all hosts
            and controls.
    """

    def __init__(self, home: Home, runs: Sequence[StoredRun]) -> None:
        self._home = home
        self._runs = runs
        self._deciding = self._find_deciding()
        newest, base = runs[0], runs[-1]
        self.number = newest.number
        self.hosts = len(self._deciding)
        info = replace(
            newest.info,
            started=min(run.info.started for run in self.parts),
            decisions=next((each for run in self.parts if (each := run.info.decisions)), None),
            runs=", ".join(first([_named(run) for run in self.parts], _NAMED)) if len(self.parts) > 1 else "",
        )
        self.record = replace(newest.record, info=info, level=base.record.level)
        if base.is_whole:
            self.record = replace(self.record, limit="", only=())

    @property
    def is_whole(self) -> bool:
        """Return whether one of the runs is over all hosts and all controls."""
        return self._runs[-1].is_whole

    @property
    def parts(self) -> Sequence[StoredRun]:
        """Return the runs that found the results, newest first."""
        numbers = {run.number for runs in self._deciding.values() for run in runs}
        return tuple(run for run in self._runs if run.number in numbers)

    def hosts_of(self, run: StoredRun) -> int:
        """Return the number of hosts with results of one of the runs."""
        return sum(run in runs for runs in self._deciding.values())

    @property
    def sections(self) -> Mapping[str, Mapping[Status, int]]:
        """Return the number of findings by section and status."""
        return self._tally[0]

    @property
    def unreachable(self) -> int:
        """Return the number of hosts that could not be reached."""
        return self._tally[1]

    @cached_property
    def controls(self) -> tuple[Control, ...]:
        """Return the controls as they were in the newest run that has each.

        Controls that the last run over all hosts does not have are left out: all hosts have the same ones.
        """
        runs = self._runs[-1:] if self._runs[-1].is_whole else self._runs
        known = {each.slug for run in runs for each in run.controls}
        found = {
            each.slug: each for run in reversed(self._runs) for each in run.controls if each.slug in known
        }
        return tuple(found.values())

    def assessments(self) -> Iterator[Assessment]:
        """Yield the newest results host by host, in the order of the last run over all hosts."""
        with self._reading() as connection:
            for name, runs in self._deciding.items():
                yield self._join([next(run.named(connection, name)) for run in runs])

    def names(self) -> Iterator[str]:
        """Yield the names of the hosts, in the order of the reports."""
        yield from self._deciding

    def assessment(self, host: str) -> Assessment | None:
        """Return the newest results of one host; None where no run has the host."""
        found = [run.assessment(host) for run in self._deciding.get(scalar(host), ())]
        return self._join([each for each in found if each]) if any(found) else None

    def snapshots(self) -> Iterator[tuple[str, bytes]]:
        """Yield each host with its newest snapshot document; omit hosts without one."""
        for name in self._deciding:
            if (data := self.snapshot(name)) is not None:
                yield name, data

    def snapshot(self, host: str) -> bytes | None:
        """Return the snapshot document of the newest run over a host; None without one."""
        runs = self._deciding.get(scalar(host), ())
        return runs[0].snapshot(host) if runs else None

    @cached_property
    def _tally(self) -> tuple[dict[str, Counter[Status]], int]:
        sections: dict[str, Counter[Status]] = {}
        unreachable = 0
        for assessment in self.assessments():
            unreachable += bool(assessment.unreachable)
            for finding in assessment.findings:
                sections.setdefault(finding.control.section, Counter())[finding.status] += 1
        return sections, unreachable

    def _find_deciding(self) -> Mapping[str, Sequence[StoredRun]]:
        """Return the runs that decide the results of each host, newest first, by its name in the database."""
        base = self._runs[-1]
        by_number = {run.number: run for run in self._runs}
        with self._reading() as connection:
            statement = (
                f"SELECT name, run FROM host WHERE run IN ({','.join(map(str, by_number))})"  # noqa: S608
                " ORDER BY run, place"
            )
            rows = list(select(connection, statement, kinds=(str, int)))
        found: dict[str, list[StoredRun]] = {}
        for name, number in rows:  # oldest first, so that the hosts of the last run over all come first
            run = by_number[number]
            is_whole = not run.record.only and run.record.level >= base.record.level
            found[name] = [run] if is_whole else [run, *found.get(name, ())]
        return found

    def _join(self, assessments: Sequence[Assessment]) -> Assessment:
        """Return the newest results of a host from its assessments, newest first."""
        newest = assessments[0]
        findings = {each.control.slug: each for one in reversed(assessments) for each in one.findings}
        if newest.unreachable and newest.findings:
            lost = newest.findings[0].verdict
            findings = {
                slug: replace(each, verdict=lost, waivers=(), attestations=())
                for slug, each in findings.items()
            }
        ordered = (findings[each.slug] for each in self.controls if each.slug in findings)
        return replace(newest, findings=tuple(ordered))


def _named(run: StoredRun) -> str:
    return f"{line(run.record.verb)} {line(run.id)} of {utc(run.info.ended)}"
