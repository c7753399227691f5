"""Record audits in the history. An error of the history is only a warning, and does not end the audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hardener.errors import ExitCode, HardenerError
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.history import AssessmentStore, Recording, RunRecord, StoredRun
    from hardener.model import Assessment
    from hardener.run import RunInfo
    from hardener.snapshot import Snapshot
    from hardener.workflows.options import Selection, Target


_LOOKED_AT = 20  # runs


class Recorder:
    """Records the audits of a command, each from ``begin`` to ``finish``; unfinished audits are not recorded.

    Args:
        target: the hosts, and the folder of their history.
        selection: which controls count.
        verb: the command, by which the duration of earlier runs is looked up.
        warn: receives what could not be recorded or compared.
    """

    def __init__(
        self, target: Target, selection: Selection, *, verb: str, warn: Callable[[str], None]
    ) -> None:
        self._target = target
        self._selection = selection
        self._verb = verb
        self._warn = warn
        self._recording: Recording | None = None
        self._inventory = ("", "")
        self.seen = 0  # the highest number of a run that a host knows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def begin(self) -> None:
        """Begin the recording of an audit, while Ansible runs."""
        from hardener.fleet import identify
        from hardener.history import History

        self._discard()
        self._inventory = identify(self._target.inventory)
        try:
            self._recording = History(self._target.home).begin()
        except HardenerError as error:
            self._give_up(error)

    def last_time(self) -> float:
        """Return the seconds of this command's last run over these hosts and controls; 0 without one."""
        from hardener.history import History

        with suppress(HardenerError):  # what cannot be read is told when it is compared with
            for run in islice(History(self._target.home).runs(self._inventory[0]), _LOOKED_AT):
                record = run.record
                same = (record.limit, record.level, record.only) == (
                    self._target.limit,
                    self._selection.level,
                    self._selection.only,
                )
                if record.verb == self._verb and same:
                    return max(0.0, (run.info.ended - run.info.started).total_seconds())
        return 0.0

    def keep(self, host: str, snapshot: Path) -> None:
        """Keep the snapshot of a host."""
        if self._recording:
            try:
                self._recording.keep(host, snapshot)
            except HardenerError as error:
                self._give_up(error)

    def see(self, snapshot: Snapshot) -> None:
        """Note the run number that is stored on a host."""
        from hardener.history.numbers import believed
        from hardener.snapshot import FactUnavailable

        with suppress(FactUnavailable):  # the host has none, or could not read it
            known = snapshot.fact_or("hardener.runs", {}).get("number")
            self.seen = max(self.seen, believed(known, now=time.time()))

    def snapshot(self, host: str) -> bytes | None:
        """Return the kept snapshot of a host; None without one."""
        return self._recording.snapshot(host) if self._recording else None

    def finish(self, verb: str, run: RunInfo, assessments: AssessmentStore, code: ExitCode) -> None:
        """Add the audit as a run to the history.

        Args:
            verb: the command.
            run: its metadata, as in its reports.
            assessments: the findings.
            code: its exit code.
        """
        if not self._recording:
            return
        try:
            self._recording.finish(self._record(verb, run, code), assessments)
        except HardenerError as error:
            self._give_up(error)
        else:
            self._recording = None

    def previous(self, run: RunInfo) -> PreviousRuns | None:
        """Return the runs before the recorded run, for its reports.

        If the history cannot be read, there is one warning, and the reports lack earlier runs.
        """
        from hardener.history import History
        from hardener.history.previous import previous_runs

        try:
            found = previous_runs(History(self._target.home), self._record("", run, ExitCode.COMPLIANT))
        except HardenerError as error:
            self._say("the reports show no changes since earlier runs", error)
            return None
        return found and replace(found, before=self._readable(found.before))

    def baseline(self) -> StoredRun | None:
        """Return the baseline of the inventory; None if none was chosen, or it cannot be read."""
        from hardener.history import History

        with suppress(HardenerError):
            return History(self._target.home).baseline(self._inventory[0])
        return None

    def _record(self, verb: str, run: RunInfo, code: ExitCode) -> RunRecord:
        from hardener.history import RunRecord

        inventory, digest = self._inventory
        return RunRecord(
            info=run,
            verb=verb,
            exit_code=code,
            inventory=inventory,
            inventory_digest=digest,
            limit=self._target.limit,
            level=self._selection.level,
            only=self._selection.only,
        )

    def _discard(self) -> None:
        if self._recording:
            self._recording.discard()
            self._recording = None

    def _give_up(self, error: HardenerError) -> None:
        self._recording = None
        self._say("this run is not recorded", error)

    def _readable(self, before: Callable[[str], Assessment | None]) -> Callable[[str], Assessment | None]:
        """Wrap a reader, so that it returns None after an error; the first error is a warning."""
        failed = False

        def read(host: str) -> Assessment | None:
            nonlocal failed
            try:
                return None if failed else before(host)
            except HardenerError as error:
                failed = True
                self._say("the reports show no changes since earlier runs", error)
                return None

        return read

    def _say(self, what: str, error: HardenerError) -> None:
        self._warn(f"{what}: {line(str(error), 2000)}")
