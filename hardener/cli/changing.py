"""From an audit to the next one, for ``harden`` and ``provision``: change what fails, show the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from hardener.cli.auditing import audited
from hardener.cli.common import Changes, ReportFiles, Selection
from hardener.cli.hardening import SEVERITY, apply, tell_left
from hardener.cli.reporting import exit_code, report, report_difference
from hardener.errors import ExitCode
from hardener.fleet import Fleet, ansible_version
from hardener.model import Assessment
from hardener.plan import Plan
from hardener.reports.planfile import Reviewed


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
    version = ansible_version()
    if plans and not changes.check:
        again = audited(fleet, selection, snapshots=changes.kept("after"), label="audit again", plain=plain)
        with again as after:
            comparison = report_difference(
                before, after, selection, files, started=started, ansible_version=version
            )
        counts = comparison.after
    elif now is not before:
        counts = report_difference(
            before, now, selection, files, started=started, ansible_version=version
        ).after
    else:
        counts = report(before, selection, files, started=started, ansible_version=version).counts
    return max(exit_code(counts), result.exit_code, key=SEVERITY.index)
