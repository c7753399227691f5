"""The end of every audit: write the reports, show the summary, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from uuid import uuid4

from hardener import __version__, catalogue
from hardener.cli.common import ReportFiles, Selection
from hardener.errors import ExitCode
from hardener.model import Assessment, Decisions, Status
from hardener.reports.compare import Comparison, compare
from hardener.reports.formats import FORMATS
from hardener.reports.interface import RunInfo, write_reports
from hardener.reports.summary import Summary
from hardener.reports.terminal import console, show_comparison, show_summary


def prepare() -> None:
    """Load what is otherwise loaded when the results are there and somebody waits for them."""
    catalogue.digest()
    import_module("hardener.reports.screens")
    for each in FORMATS.values():
        each.load()


def report(
    assessments: Sequence[Assessment],
    selection: Selection,
    files: ReportFiles,
    *,
    started: datetime,
    ansible_version: str = "",
    decisions: Decisions | None = None,
) -> Summary:
    """Write the reports that were asked for, and show on standard output what they count."""
    summary = Summary()
    run = run_info(selection, started=started, ansible_version=ansible_version, decisions=decisions)
    write_reports(summary.watch(assessments), files.reports(run))
    show_summary(summary, console(sys.stdout), files=files.named(), decisions=decisions)
    return summary


def report_difference(
    before: Sequence[Assessment],
    after: Sequence[Assessment],
    selection: Selection,
    files: ReportFiles,
    *,
    started: datetime,
    ansible_version: str,
    decisions: Decisions | None = None,
) -> Comparison:
    """Write the reports of both audits, and show on standard output what became of each control."""
    run = run_info(selection, started=started, ansible_version=ansible_version, decisions=decisions)
    write_reports(before, files.before().reports(run))
    write_reports(after, files.reports(run))
    comparison = compare(before, after)
    earlier = {f"{name} before": path for name, path in files.before().named().items()}
    show_comparison(comparison, console(sys.stdout), files=files.named() | earlier, decisions=decisions)
    return comparison


def run_info(
    selection: Selection,
    *,
    started: datetime,
    ansible_version: str = "",
    decisions: Decisions | None = None,
) -> RunInfo:
    """What the reports say about a run that ends now."""
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
