"""Judge stored snapshots, without hosts and without Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from hardener.assess import assess
from hardener.decisions.apply import by_groups
from hardener.errors import ExitCode
from hardener.model import Decisions, Severity
from hardener.snapshot import Snapshot
from hardener.summary import Summary
from hardener.workflows import exit_codes
from hardener.workflows.options import DecisionFiles, ReportFiles, Selection
from hardener.workflows.report import report, run_info


@dataclass(frozen=True, slots=True)
class AssessResult:
    """The result of judging stored snapshots."""

    summary: Summary
    decisions: Decisions | None
    exit_code: ExitCode


class AssessListener(Protocol):
    """Receives the progress of judging snapshots."""

    def warning(self, text: str) -> None:
        """Warn about a problem with the reports."""

    def not_applied(self, decisions: Sequence[str], hosts: Sequence[str]) -> None:
        """Report decisions that depend on groups and were not applied.

        The snapshots of these hosts name no groups.
        """


def assess_snapshots(
    paths: Sequence[Path],
    snapshots: Iterable[Snapshot],
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    *,
    listener: AssessListener,
    fail_on: Severity | None = None,
) -> AssessResult:
    """Judge snapshots as an audit judges them, and write the reports.

    Args:
        paths: the files of the snapshots; no report may overwrite them.
        snapshots: the snapshots, read when they are judged.
        selection: which controls count.
        decided: the waivers and attestations.
        files: which reports are written.
        listener: receives the progress.
        fail_on: the lowest severity of a result that decides the exit code; None for all.

    Raises:
        HardenerError: an option is invalid, or a snapshot cannot be read.
    """
    started = datetime.now(UTC)
    controls = selection.controls()
    decisions = decided.read(started.date())
    files.keep(*paths, *decided.named)
    assessments = []
    without_groups = []
    for snapshot in snapshots:
        assessments.append(assess(snapshot, controls, benchmark=selection.benchmark, decisions=decisions))
        if snapshot.groups is None:
            without_groups.append(snapshot.host)
    if decisions and without_groups and (names := by_groups(decisions)):
        listener.not_applied(names, without_groups)
    run = run_info(selection, decisions, started=started)
    summary = report(assessments, files, run=run, warn=listener.warning)
    return AssessResult(summary, decisions, exit_codes.of_audit(summary.counts, assessments, fail_on))
