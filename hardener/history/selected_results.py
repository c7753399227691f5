"""Read the results of a stored run through a filter, and count the chosen and all results."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from hardener.errors import HardenerError
from hardener.history.runs import StoredRun
from hardener.model import Assessment
from hardener.result_filter import Groups, ResultFilter
from hardener.run import RunInfo
from hardener.snapshot import Snapshot
from hardener.text import scalar


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
        self._groups = groups_of(run, known=bool(chosen.groups)) if chosen else {}
        chosen.check(run.controls, run.info.benchmark, self._groups)

    @property
    def info(self) -> RunInfo:
        """Return the metadata for reports, which say that the results are filtered."""
        return replace(self.run.info, filtered=str(self.filter), whole_hosts=not self.filter.of_findings)

    def takes_host(self, host: str) -> bool:
        """Return whether a host is chosen, whatever its results are."""
        return not self.filter.of_hosts or self.filter.takes_host(host, self._groups.get(scalar(host)))

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
        """Return the number of hosts whose groups are unknown, if the filter is by group."""
        return sum(1 for groups in self._groups.values() if groups is None) if self.filter.groups else 0


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
