"""From an audit to the next one, for ``harden`` and ``provision``: change what fails, show the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from hardener.cli.auditing import audited
from hardener.cli.common import Changes, ReportFiles, Selection
from hardener.cli.hardening import SEVERITY, apply, tell_left
from hardener.cli.recording import Recorder
from hardener.cli.reporting import exit_code, report, report_difference, run_info
from hardener.errors import ExitCode
from hardener.fleet import Fleet, ansible_version
from hardener.model import Assessment, Decisions, Status
from hardener.plan import Plan
from hardener.planfile import Reviewed
from hardener.run import RunInfo


def change(
    fleet: Fleet,
    plans: Sequence[Plan],
    selection: Selection,
    changes: Changes,
    files: ReportFiles,
    *,
    recorder: Recorder,
    verb: str,
    before: Iterable[Assessment],
    now: Iterable[Assessment] | None = None,
    started: datetime,
    decisions: Decisions | None,
    earlier: RunInfo | None = None,
    so_far: ExitCode = ExitCode.COMPLIANT,
    reviewed: Mapping[str, Reviewed] | None = None,
    plain: bool,
) -> ExitCode:
    """Carry out plans, audit again, report, and say how it ended.

    Args:
        fleet: the hosts.
        plans: what to do on which.
        selection: which controls count.
        changes: what may be changed.
        files: which reports are written.
        recorder: records what was true before, and what is true at the end.
        verb: what that is called in the history.
        before: what the result is compared with.
        now: what the plans were made from, where something was changed since ``before``.
        started: when the run began.
        decisions: the waivers and attestations that are applied.
        earlier: what ``before`` was recorded as; it is recorded here where it was not.
        so_far: how it went until now.
        reviewed: plans that somebody has reviewed; a host refuses what is not exactly that.
        plain: no live progress.
    """
    version = ansible_version()
    changing = bool(plans) and not changes.check
    if earlier is None:
        earlier = run_info(selection, decisions, started=started, ansible_version=version)
        if changing:  # whatever becomes of this process, it is known how the hosts were
            record_before(recorder, verb, earlier, before)
    result = apply(
        fleet,
        plans,
        bounds=changes.bounds,
        reviewed=reviewed,
        check=changes.check,
        diff=changes.diff,
        plain=plain,
    )
    tell_left(result.outlooks)

    def end(found: Iterable[Assessment]) -> ExitCode:
        run = run_info(selection, decisions, started=started, ansible_version=version)
        previous = recorder.previous(run) if files.look_back else None
        if found is before:
            counts: Mapping[Status, int] = report(found, files, run=run, previous=previous).counts
        else:
            counts = report_difference(
                before, found, files, earlier=earlier, run=run, previous=previous
            ).after
        code = max(so_far, exit_code(counts), result.exit_code, key=SEVERITY.index)
        recorder.finish(f"{verb} --check" if changes.check else verb, run, found, code)
        return code

    if not changing:
        return end(before if now is None else now)
    again = audited(
        fleet,
        selection,
        decisions,
        snapshots=changes.kept("after"),
        recorder=recorder,
        label="audit again",
        plain=plain,
    )
    with again as after:
        return end(after)


def record_before(recorder: Recorder, verb: str, run: RunInfo, before: Iterable[Assessment]) -> None:
    """Record how the hosts were before a verb changes them."""
    counts = sum((assessment.counts() for assessment in before), Counter[Status]())
    recorder.finish(f"before {verb}", run, before, exit_code(counts))
