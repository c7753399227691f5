"""Number a run that changes hosts, and keep its progress on disk, so that another run can continue it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.history.home import Home
from hardener.history.journal import Ending, Journal, forget_old_runs, forget_run
from hardener.history.numbers import next_number, take_number
from hardener.text import line
from hardener.workflows.options import Target
from hardener.workflows.remediate import RemediationResult


class ChangeRunListener(Protocol):
    """Receives warnings about the journal of a run."""

    def warning(self, text: str) -> None:
        """Report a problem that does not affect the rest of the run."""

    def resumable(self, run: str) -> None:
        """Report that the run is unfinished, and that another run can continue it."""


class ChangeRun:
    """A run that changes hosts; it gets its number when the first change is about to begin.

    Args:
        target: the hosts, the folder of their history, and the command line of the run.
        fleet: reaches the hosts.
        listener: receives what could not be stored, and which run can be resumed.
        confirmed: hosts that were confirmed in the run that this one continues: they are not changed again.
    """

    def __init__(
        self,
        target: Target,
        fleet: Fleet,
        *,
        listener: ChangeRunListener,
        confirmed: frozenset[str] = frozenset(),
    ) -> None:
        self._home = Home(target.home)
        self._call = target.call
        self._listener = listener
        self._run = ""
        self._fleet = fleet
        self._journal: Journal | None = None
        self._has_begun = False
        self.confirmed = confirmed

    @property
    def fleet(self) -> Fleet:
        """Return the fleet; after the run has begun, with its run number."""
        return self._fleet

    def begin(self, run: str, *, seen: int, hosts: Sequence[str] | None = None) -> None:
        """Take the run number, and write the hosts to change into the journal; a second call does nothing.

        Args:
            run: its name.
            seen: the highest run number that is stored on a host of the run; 0 without one.
            hosts: the hosts to change; None if the run cannot be continued.
        """
        if self._has_begun:
            return
        self._has_begun, self._run = True, run
        try:
            number = take_number(self._home, seen)
        except HardenerError as error:
            self._listener.warning(f"the number of this run is not stored: {line(str(error), 2000)}")
            number = next_number(0, seen, now=time.time())
        self._fleet = self._fleet.numbered(number, run)
        if self._call and hosts is not None:
            try:
                forget_old_runs(self._home)
                self._journal = Journal(
                    self._home,
                    run=run,
                    number=number,
                    arguments=self._call.arguments,
                    folder=self._call.folder,
                    hosts=hosts,
                    finished=sorted(self.confirmed),
                )
            except HardenerError as error:
                self._give_up(error)
            else:
                self._forget_resumed()

    def begun(self, hosts: Sequence[str]) -> None:
        """Record in the journal that the change of these hosts is about to begin."""
        if self._journal:
            try:
                self._journal.begin(hosts)
            except HardenerError as error:
                self._give_up(error)

    def ended(self, hosts: Sequence[str], result: RemediationResult) -> None:
        """Write the results of hosts."""
        if self._journal:
            try:
                self._journal.end({host: _ending(host, result) for host in hosts})
            except HardenerError as error:
                self._give_up(error)

    def close(self, *, left: bool) -> None:
        """End the run; an unfinished run can be resumed."""
        if self._journal:
            self._journal.close(over=not left)
            self._journal = None
            if left:
                self._listener.resumable(self._run)
        elif not self._has_begun:  # there was nothing to change any more
            self._forget_resumed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal:  # it was interrupted: what is left can be resumed
            self.close(left=True)

    def _forget_resumed(self) -> None:
        if self._call and self._call.resumed:
            forget_run(self._home, self._call.resumed.run)

    def _give_up(self, error: HardenerError) -> None:
        if self._journal:
            self._journal.close(over=False)
            self._journal = None
        self._listener.warning(f"this run cannot be resumed: {line(str(error), 2000)}")


def _ending(host: str, result: RemediationResult) -> tuple[Ending, str]:
    if host in result.not_begun:
        return Ending.NOT_BEGUN, result.not_begun[host]
    if host in result.rolled_back:
        return Ending.ROLLED_BACK, result.failed.get(host, "")
    if host in result.failed:
        return Ending.FAILED, result.failed[host]
    return Ending.CONFIRMED, ""
