"""The middle of ``hardener drift``: find what to hold against, look, repair, look again."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime

from hardener.cli.auditing import audited
from hardener.cli.common import Changes, ReportFiles, Selection
from hardener.cli.hardening import SEVERITY, announce, apply, tell_left, tell_withheld
from hardener.cli.moving import called, measure
from hardener.cli.recording import Recorder
from hardener.cli.reporting import run_info
from hardener.comparison import Drift
from hardener.errors import ExitCode, HardenerError
from hardener.fleet import Fleet, ansible_version, identify
from hardener.history import History, StoredRun
from hardener.model import Assessment, Decisions
from hardener.plan import Plan, plan
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from hardener.terminal.console import console, show_drift
from hardener.text import line

_VERB = "drift"
_BEFORE = f"before {_VERB}"


def reference(history: History, inventory: str, against: str) -> StoredRun:
    """The run that an inventory is held against.

    Args:
        history: where it is kept.
        inventory: as the user gave it.
        against: what the user calls the run; empty for the baseline or the last complete run.

    Raises:
        HardenerError: there is none.
    """
    name, _ = identify(inventory)
    if against not in ("", "baseline"):
        return history.run(against)
    if chosen := history.baseline(name):
        return chosen
    if not against:
        for run in history.runs():
            record = run.record
            complete = not (record.limit or record.only) and run.unreachable < run.hosts
            if record.inventory == name and complete and record.verb not in (_VERB, _BEFORE):
                return run
    what = "baseline" if against else "complete run"
    raise HardenerError(
        f"there is no {what} of {line(name, 1000)} to hold against",
        hint="`hardener audit` makes a run, `hardener baseline RUN` a baseline; --against names another run",
    )


class Watch:
    """Hosts held against an earlier run.

    Args:
        fleet: the hosts.
        selection: which controls count.
        files: which reports are written.
        recorder: records what was found.
        decisions: the waivers and attestations that are applied.
        started: when the run began.
        before: the earlier run.
        limited: only some hosts of the inventory are looked at.
        plain: no live progress.

    Attributes:
        found: what had moved; None before that is known.
        left: what still had after a repair.
        run_id: what the run is recorded as; empty before it is.
    """

    def __init__(
        self,
        fleet: Fleet,
        selection: Selection,
        files: ReportFiles,
        recorder: Recorder,
        *,
        decisions: Decisions | None,
        started: datetime,
        before: StoredRun,
        limited: bool,
        plain: bool,
    ) -> None:
        self._fleet = fleet
        self._selection = selection
        self._files = files
        self._recorder = recorder
        self.before = before
        self._limited = limited
        self._plain = plain
        self._decisions = decisions
        self._started = started
        self.found: Drift | None = None
        self.left: Drift | None = None
        self.run_id = ""

    def run(self, changes: Changes, *, remediate: bool) -> ExitCode:
        """Audit and report what moved; repair what has drifted, audit again and report what is left."""
        with self._audited(changes, "before") as found:
            moved = self.found = self._measure(found)
            plans = _plans(found, moved) if remediate else []
        if remediate and moved.is_drift:
            announce(plans)
        changing = bool(plans) and not changes.check
        if changing:  # whatever becomes of this process, it is known what had drifted
            self._recorder.finish(_BEFORE, self._run(), found, ExitCode.DRIFTED)
            self._show(moved)
        result = apply(
            self._fleet,
            plans,
            bounds=changes.bounds,
            check=changes.check,
            diff=changes.diff,
            plain=self._plain,
        )
        tell_left(result.outlooks)
        if not changing:
            return self._end(found, moved, max(_code(moved), result.exit_code, key=SEVERITY.index))
        with self._audited(changes, "after") as found:
            left = self.left = self._measure(found)
            code = max(ExitCode.REPAIRED, _code(left), result.exit_code, key=SEVERITY.index)
            return self._end(found, left, code)

    def _audited(self, changes: Changes, when: str) -> AbstractContextManager[Iterable[Assessment]]:
        return audited(
            self._fleet,
            self._selection,
            self._decisions,
            snapshots=changes.kept(when),
            recorder=self._recorder,
            label="audit" if when == "before" else "audit again",
            plain=self._plain,
        )

    def _measure(self, found: Iterable[Assessment]) -> Drift:
        return measure(self.before, found, self._recorder.snapshot, partial_run=self._limited)

    def _end(self, found: Iterable[Assessment], moved: Drift, code: ExitCode) -> ExitCode:
        """Report what is true at the end, record it, say what has moved."""
        run = self._run()
        previous = self._recorder.previous(run) if self._files.look_back else None
        write_reports(found, self._files.reports(run, previous))
        self._recorder.finish(_VERB, run, found, code)
        self.run_id = run.run_id
        self._show(moved, last=True)
        return code

    def _show(self, moved: Drift, *, last: bool = False) -> None:
        title = f"since {called(self.before)}"
        show_drift(moved, console(sys.stdout), title=title, files=self._files.named() if last else {})

    def _run(self) -> RunInfo:
        return run_info(
            self._selection, self._decisions, started=self._started, ansible_version=ansible_version()
        )


def _plans(found: Iterable[Assessment], moved: Drift) -> list[Plan]:
    """What to do about what has drifted, and about nothing else."""
    plans = []
    for assessment in found:
        drifted = moved.drifted.get(assessment.host, set())
        # What is waived is looked at too: nothing that repairs it may be done for another's sake.
        findings = (each for each in assessment.findings if each.waived or each.control.slug in drifted)
        plans.append(plan(dataclasses.replace(assessment, findings=tuple(findings))))
    tell_withheld(plans)
    return [each for each in plans if each.steps]


def _code(moved: Drift) -> ExitCode:
    if moved.is_drift:
        return ExitCode.DRIFTED
    return ExitCode.COMPLIANT if moved.is_complete else ExitCode.INCOMPLETE
