"""An audit of the fleet: judge each host while the snapshots of the others arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.assess import assess, unreachable
from hardener.checks import all_checks
from hardener.cli.spool import Spool
from hardener.errors import HardenerError
from hardener.fleet import TaskResult
from hardener.snapshot import Snapshot
from hardener.terminal.progress import Progress
from hardener.workfolder import temporary_folder

if TYPE_CHECKING:
    from hardener.cli.common import ReportFiles, Selection
    from hardener.cli.recording import Recorder
    from hardener.fleet import Fleet, Run
    from hardener.model import Assessment, Decisions


@contextmanager
def audited(
    fleet: Fleet,
    selection: Selection,
    decisions: Decisions | None,
    *,
    snapshots: Path | None,
    files: ReportFiles | None = None,
    recorder: Recorder | None = None,
    label: str = "audit",
    plain: bool = False,
) -> Iterator[Iterable[Assessment]]:
    """Audit the fleet; gives one assessment a host, in the order of the inventory, as often as they are read.

    They are there as soon as the last host is judged: Ansible needs a moment more to go, inside the context.

    Args:
        fleet: the hosts.
        selection: which controls count.
        decisions: the waivers and attestations that are applied.
        snapshots: where the snapshots are kept; None keeps none.
        files: which reports will be written; what writes them is loaded while there is time.
        recorder: what the snapshots are recorded with.
        label: what the audit is called on standard error.
        plain: no live progress.
    """
    with (
        _snapshot_folder(snapshots) as folder,
        fleet.run("audit", variables={"collect_dest": str(folder)}) as run,
    ):
        with Progress(label, last="collect", plain=plain) as progress:
            keep = snapshots is not None
            assessments = _judge(
                run, selection, decisions, progress, files=files, recorder=recorder, keep=keep
            )
        yield assessments


@contextmanager
def _snapshot_folder(kept: Path | None) -> Iterator[Path]:
    """Where snapshots arrive: a folder to keep, or one that is gone afterwards.

    Raises:
        HardenerError: the folder cannot be made.
    """
    if kept is None:
        with temporary_folder() as folder:
            yield folder
        return
    try:
        # Facts about a host are for the eyes of those who guard it.
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HardenerError(f"cannot keep snapshots in {kept}: {error.strerror}") from error
    yield kept.absolute()


def _judge(
    run: Run,
    selection: Selection,
    decisions: Decisions | None,
    progress: Progress,
    *,
    files: ReportFiles | None,
    recorder: Recorder | None,
    keep: bool,
) -> Spool:
    """Judge each host as soon as its snapshot is there; those that gave none are judged unreachable."""
    # Ansible needs half a second to start: what judging and reporting need is loaded meanwhile.
    controls = selection.controls()
    all_checks()
    import_module("hardener.cli.reporting").prepare(files)
    if recorder:
        recorder.begin()
    judged = Spool()
    for event in run:
        progress.show(event)
        if isinstance(event, TaskResult) and event.action == "collect" and "snapshot" in event.data:
            path = Path(event.data["snapshot"])
            try:
                snapshot = Snapshot.load(path)
            except HardenerError as error:
                found = unreachable(event.host, str(error), controls, benchmark=selection.benchmark)
            else:
                found = assess(
                    snapshot,
                    controls,
                    benchmark=selection.benchmark,
                    host=event.host,  # who the inventory says it is, whatever the document says
                    decisions=decisions,
                )
                if recorder:
                    recorder.keep(event.host, path)
            judged.add(found)
            if not keep:
                path.unlink()
    for host, outcome in run.outcomes.items():
        if not judged.has(host):
            judged.add(unreachable(host, outcome.reason, controls, benchmark=selection.benchmark))
    judged.arrange(run.outcomes)
    return judged
