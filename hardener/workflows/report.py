"""Write the reports of audits, compare two audits, and return the metrics of a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from hardener import __version__, catalogue
from hardener.comparison.previous_runs import PreviousRuns
from hardener.comparison.runs import Comparison, compare
from hardener.errors import HardenerError
from hardener.model import Assessment, Decisions
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from hardener.summary import Summary
from hardener.workflows.options import ReportFiles, Selection


def prepare(files: ReportFiles | None) -> None:
    """Import the modules for reports early, so that the user does not wait for them at the end."""
    catalogue.digest()
    if files:
        files.load()


def report(
    assessments: Iterable[Assessment],
    files: ReportFiles,
    *,
    run: RunInfo,
    warn: Callable[[str], None],
    previous: PreviousRuns | None = None,
) -> Summary:
    """Write the reports of an audit, and count its findings; a split by group reads the hosts twice."""
    summary = Summary()
    for text in write_reports(summary.watch(assessments), files.reports(run, assessments, previous)):
        warn(text)
    return summary


def report_difference(
    before: Iterable[Assessment],
    after: Iterable[Assessment],
    files: ReportFiles,
    *,
    earlier: RunInfo,
    run: RunInfo,
    warn: Callable[[str], None],
    previous: PreviousRuns | None,
) -> Comparison:
    """Write the reports of both audits, and compare them.

    Args:
        before: the findings of the first audit.
        after: the findings of the last audit.
        files: which reports are written.
        earlier: the metadata of the first audit.
        run: the metadata of the last audit.
        warn: shows a warning about a file that is larger than its readers accept.
        previous: the runs before that.
    """
    write_reports(before, files.before().reports(earlier, before))
    for text in write_reports(after, files.reports(run, after, previous)):
        warn(text)
    return compare(before, after)


def run_info(
    selection: Selection,
    decisions: Decisions | None,
    *,
    started: datetime,
    ansible_version: str = "",
    inventory: str = "",
) -> RunInfo:
    """Return the metadata of an audit that ends now."""
    return RunInfo(
        run_id=str(uuid4()),
        tool_version=__version__,
        benchmark=selection.benchmark,
        catalogue_digest=catalogue.digest(),
        ansible_version=ansible_version,
        started=started,
        ended=max(started, datetime.now(UTC)),  # the clock may have been set back
        decisions=decisions,
        inventory=inventory,
    )


def metrics_of_history(home: Path) -> str:
    """Return the metrics of a history.

    Args:
        home: its folder.

    Raises:
        HardenerError: no run over all hosts and all controls is kept there.
    """
    from hardener.history import History
    from hardener.reports.metrics import RunMetrics
    from hardener.reports.metrics import metrics as written

    history = History(home)
    names = sorted(each.name for each in history.inventories())
    runs = [run for name in names if (run := history.state(name)) and run.is_whole]
    if not runs:
        raise HardenerError(
            f"no run over all hosts and all controls is kept in {history.path}",
            hint="`hardener audit -i INVENTORY` makes one",
        )
    return written(
        RunMetrics(
            inventory=run.record.inventory,
            verb=run.record.verb,
            exit_code=run.record.exit_code,
            run=run.info,
            assessments=run.assessments(),
            seen=partial(history.last_seen, run.record.inventory),
        )
        for run in runs
    )
