"""An audit on its way into the history. What goes wrong there is said, and costs the audit nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from hardener.cli.common import FleetOptions, Selection
from hardener.errors import ExitCode, HardenerError
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.history import Recording, RunRecord
    from hardener.model import Assessment
    from hardener.run import RunInfo


class Recorder:
    """Records the audits of one verb, each from ``begin`` to ``finish``; what is not finished is forgotten.

    Args:
        home: folder of the history.
        hosts: which hosts are audited.
        selection: which controls count.
    """

    def __init__(self, home: Path, hosts: FleetOptions, selection: Selection) -> None:
        self._home = home
        self._hosts = hosts
        self._selection = selection
        self._recording: Recording | None = None
        self._inventory = ("", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def begin(self) -> None:
        """Begin with an audit; to be called while there is time."""
        from hardener.fleet import identify
        from hardener.history import History

        self._discard()
        self._inventory = identify(self._hosts.inventory)
        try:
            self._recording = History(self._home).begin()
        except HardenerError as error:
            self._give_up(error)

    def keep(self, host: str, snapshot: Path) -> None:
        """Keep the snapshot of a host."""
        if self._recording:
            try:
                self._recording.keep(host, snapshot)
            except HardenerError as error:
                self._give_up(error)

    def snapshot(self, host: str) -> bytes | None:
        """The snapshot that was kept of a host; None where none was."""
        return self._recording.snapshot(host) if self._recording else None

    def finish(self, verb: str, run: RunInfo, assessments: Iterable[Assessment], code: ExitCode) -> None:
        """Make it a run of the history.

        Args:
            verb: what was done.
            run: what its reports say about it.
            assessments: what was found.
            code: how it ended.
        """
        if not self._recording:
            return
        try:
            for assessment in assessments:
                self._recording.add(assessment)
            self._recording.finish(self._record(verb, run, code))
        except HardenerError as error:
            self._give_up(error)
        else:
            self._recording = None

    def previous(self, run: RunInfo) -> PreviousRuns | None:
        """The runs before the one that is being recorded, for its reports.

        A history that cannot be read is said, once, and costs them what it would have told.
        """
        from hardener.history import History
        from hardener.history.previous import previous_runs

        try:
            found = previous_runs(History(self._home), self._record("", run, ExitCode.COMPLIANT))
        except HardenerError as error:
            _warn("earlier runs are not compared with", error)
            return None
        return found and replace(found, before=_readable(found.before))

    def _record(self, verb: str, run: RunInfo, code: ExitCode) -> RunRecord:
        from hardener.history import RunRecord

        inventory, digest = self._inventory
        return RunRecord(
            info=run,
            verb=verb,
            exit_code=code,
            inventory=inventory,
            inventory_digest=digest,
            limit=self._hosts.limit,
            level=self._selection.level,
            only=self._selection.only,
        )

    def _discard(self) -> None:
        if self._recording:
            self._recording.discard()
            self._recording = None

    def _give_up(self, error: HardenerError) -> None:
        self._recording = None
        _warn("this run is not recorded", error)


def _readable(before: Callable[[str], Assessment | None]) -> Callable[[str], Assessment | None]:
    """The same, until it fails: then that is said, and nothing is found any more."""
    failed = False

    def read(host: str) -> Assessment | None:
        nonlocal failed
        try:
            return None if failed else before(host)
        except HardenerError as error:
            failed = True
            _warn("earlier runs are not compared with", error)
            return None

    return read


def _warn(what: str, error: HardenerError) -> None:
    click.echo(f"hardener: warning: {what}: {line(str(error), 2000)}", err=True)
