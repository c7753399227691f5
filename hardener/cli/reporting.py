"""The end of every audit: write the reports, show the summary, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from uuid import uuid4

from hardener import __version__, catalogue
from hardener.cli.common import ReportFiles, Selection
from hardener.comparison.previous_runs import PreviousRuns
from hardener.comparison.runs import Comparison, compare
from hardener.errors import ExitCode
from hardener.model import Assessment, Decisions, Status
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from hardener.summary import Summary
from hardener.terminal.console import console, show_comparison, show_summary


def prepare(files: ReportFiles | None) -> None:
    """Load what is otherwise loaded when the results are there and somebody waits for them."""
    catalogue.digest()
    import_module("hardener.terminal.audit")
    if files:
        files.load()


def report(
    assessments: Iterable[Assessment],
    files: ReportFiles,
    *,
    run: RunInfo,
    previous: PreviousRuns | None = None,
) -> Summary:
    """Write the reports that were asked for, and show on standard output what they count."""
    summary = Summary()
    write_reports(summary.watch(assessments), files.reports(run, previous))
    show_summary(summary, console(sys.stdout), files=files.named(), decisions=run.decisions)
    return summary


def report_difference(
    before: Iterable[Assessment],
    after: Iterable[Assessment],
    files: ReportFiles,
    *,
    earlier: RunInfo,
    run: RunInfo,
    previous: PreviousRuns | None,
) -> Comparison:
    """Write the reports of both audits, and show on standard output what became of each control.

    Args:
        before: what the first audit found.
        after: what the last one did.
        files: which reports are written.
        earlier: what the reports say about the first audit.
        run: what they say about the last one.
        previous: what there was before that.
    """
    write_reports(before, files.before().reports(earlier))
    write_reports(after, files.reports(run, previous))
    comparison = compare(before, after)
    more = {f"{name} before": path for name, path in files.before().named().items()}
    show_comparison(comparison, console(sys.stdout), files=files.named() | more, decisions=run.decisions)
    return comparison


def run_info(
    selection: Selection,
    decisions: Decisions | None,
    *,
    started: datetime,
    ansible_version: str = "",
) -> RunInfo:
    """What the reports say about an audit that ends now."""
    return RunInfo(
        run_id=str(uuid4()),
        tool_version=__version__,
        benchmark=selection.benchmark,
        catalogue_digest=catalogue.digest(),
        ansible_version=ansible_version,
        started=started,
        ended=datetime.now(UTC),
        decisions=decisions,
    )


def exit_code(counts: Mapping[Status, int]) -> ExitCode:
    """A failing control is worse than one that nobody could evaluate, and that is worse than compliance."""
    if counts.get(Status.FAIL):
        return ExitCode.NOT_COMPLIANT
    return ExitCode.INCOMPLETE if counts.get(Status.ERROR) else ExitCode.COMPLIANT
