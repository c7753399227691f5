"""From an audit to the next one, for ``harden`` and ``provision``: change what fails, show the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from hardener.cli.auditing import audited
from hardener.cli.common import Changes, ReportFiles, Selection
from hardener.cli.hardening import SEVERITY, apply, tell_left
from hardener.cli.reporting import exit_code, report, report_difference
from hardener.errors import ExitCode
from hardener.fleet import Fleet, ansible_version
from hardener.model import Assessment, Decisions
from hardener.plan import Plan
from hardener.reports.planfile import Reviewed


class _Said(TypedDict):
    """What the reports say about the run beside its findings."""

    started: datetime
    ansible_version: str
    decisions: Decisions | None


def change(
    fleet: Fleet,
    plans: Sequence[Plan],
    selection: Selection,
    changes: Changes,
    files: ReportFiles,
    *,
    before: Sequence[Assessment],
    now: Sequence[Assessment],
    started: datetime,
    decisions: Decisions | None = None,
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
        before: what the result is compared with.
        now: what the plans were made from; the same, unless something was changed in between.
        started: when the run began.
        decisions: the waivers and attestations that are applied.
        reviewed: plans that somebody has reviewed; a host refuses what is not exactly that.
        plain: no live progress.
    """
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
    said = _Said(started=started, ansible_version=ansible_version(), decisions=decisions)
    if plans and not changes.check:
        again = audited(
            fleet,
            selection,
            decisions,
            snapshots=changes.kept("after"),
            label="audit again",
            plain=plain,
        )
        with again as after:
            comparison = report_difference(before, after, selection, files, **said)
        counts = comparison.after
    elif now is not before:
        counts = report_difference(before, now, selection, files, **said).after
    else:
        counts = report(before, selection, files, **said).counts
    return max(exit_code(counts), result.exit_code, key=SEVERITY.index)
