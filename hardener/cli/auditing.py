"""The middle of every audit: judge hosts while snapshots arrive, write reports, choose the exit code."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from hardener import __version__, catalogue
from hardener.assess import assess, unreachable
from hardener.checks import all_checks
from hardener.cli.common import ReportFiles, Selection
from hardener.errors import ExitCode, HardenerError
from hardener.model import Assessment, Status
from hardener.reports.interface import RunInfo, write_reports
from hardener.reports.summary import Summary
from hardener.reports.terminal import console, show_summary
from hardener.snapshot import Snapshot

if TYPE_CHECKING:
    from hardener.cli.progress import Progress
    from hardener.fleet import Run


@contextmanager
def snapshot_folder(kept: Path | None) -> Iterator[Path]:
    """Where snapshots arrive: a folder to keep, or one that is gone afterwards.

    Raises:
        HardenerError: the folder cannot be made.
    """
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="hardener-") as folder:
            yield Path(folder)
        return
    try:
        # Facts about a host are for the eyes of those who guard it.
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HardenerError(f"cannot keep snapshots in {kept}: {error.strerror}") from error
    yield kept.absolute()


def judge(run: Run, selection: Selection, progress: Progress, *, keep: bool) -> list[Assessment]:
    """Judge each host as soon as its snapshot is there, while Ansible is still busy with the others.

    Args:
        run: a run of the audit playbook.
        selection: which controls count.
        progress: is shown every event.
        keep: whether the snapshots stay where they are.

    Returns:
        One assessment a host, in the order of the inventory: those that gave no snapshot are among them.
    """
    from hardener.fleet import TaskResult

    controls = selection.controls()  # read while Ansible starts
    all_checks()
    judged: dict[str, Assessment] = {}
    for event in run:
        progress.show(event)
        if isinstance(event, TaskResult) and event.action == "collect" and "snapshot" in event.data:
            path = Path(event.data["snapshot"])
            try:
                assessment = assess(Snapshot.load(path), controls, benchmark=selection.benchmark)
            except HardenerError as error:
                assessment = unreachable(event.host, str(error), controls, benchmark=selection.benchmark)
            # The host is who the inventory says, whatever the document says.
            judged[event.host] = dataclasses.replace(assessment, host=event.host)
            if not keep:
                path.unlink()
    return [
        judged.get(host) or unreachable(host, outcome.reason, controls, benchmark=selection.benchmark)
        for host, outcome in run.outcomes.items()
    ]


def report(
    assessments: Sequence[Assessment],
    selection: Selection,
    files: ReportFiles,
    *,
    started: datetime,
    ansible_version: str = "",
) -> Summary:
    """Write the reports that were asked for, and show on standard output what they count."""
    summary = Summary()
    run = run_info(selection, started=started, ansible_version=ansible_version)
    write_reports(summary.watch(assessments), files.reports(run))
    show_summary(summary, console(sys.stdout), files=files.named())
    return summary


def run_info(selection: Selection, *, started: datetime, ansible_version: str = "") -> RunInfo:
    """What the reports say about a run that ends now."""
    return RunInfo(
        run_id=str(uuid4()),
        tool_version=__version__,
        benchmark=selection.benchmark,
        catalogue_digest=catalogue.digest(),
        ansible_version=ansible_version,
        started=started,
        ended=datetime.now(UTC),
    )


def exit_code(counts: Mapping[Status, int]) -> ExitCode:
    """A failing control is worse than one that nobody could evaluate, and that is worse than compliance."""
    if counts.get(Status.FAIL):
        return ExitCode.NOT_COMPLIANT
    return ExitCode.INCOMPLETE if counts.get(Status.ERROR) else ExitCode.COMPLIANT
