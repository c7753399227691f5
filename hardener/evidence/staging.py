"""Write the files of one run for a bundle: all reports, and the original facts.

They are written into a folder first, because the manifest, which comes first in the archive, has their
hashes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hardener import __version__
from hardener.errors import HardenerError
from hardener.evidence.layout import (
    DECLARED,
    REPORTS,
    declared_name,
    is_run_id,
    proof_files,
    report_name,
    snapshot_name,
)
from hardener.evidence.manifest import File, Host, Proof, Run, Selection, run_folder
from hardener.model import Assessment, Status
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from hardener.summary import by_name
from hardener.text import line, scalar
from hardener.workload import profile_document
from hardener.workload.proven import InconsistentError, check

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """A run to export.

    ``assessments`` and ``snapshots`` are read once each, host by host, both in the order of the reports;
    ``snapshots`` omits hosts without a snapshot. ``declared`` are files that people wrote for the run, by
    kind (``layout.DECLARED``).
    """

    info: RunInfo
    verb: str
    assessments: Callable[[], Iterable[Assessment]]
    snapshots: Callable[[], Iterable[tuple[str, bytes]]]
    inventory: str = ""  # SHA-256
    declared: Mapping[str, bytes] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)


def stage(run: RunEvidence, folder: Path) -> tuple[Run, tuple[File, ...]]:
    """Write the files of a run below a folder.

    Args:
        run: the run.
        folder: the top folder of the bundle.

    Returns:
        The entry of the run in the manifest, and its files.

    Raises:
        HardenerError: a file cannot be written, or the run is incomplete.
    """
    if not is_run_id(run.info.run_id):
        raise HardenerError(f"{line(repr(run.info.run_id))} cannot be the name of a run")
    if not set(run.declared) <= set(DECLARED) or (run.declared and run.info.decisions is None):
        raise HardenerError(f"run {run.info.run_id} has decision files that were not applied to it")
    top = run_folder(run.info.run_id)
    files = []
    for what, content in sorted(run.declared.items()):
        files.append(_write(folder, declared_name(top, what), content))
    population = _Population()
    # The manifest does not contain the path of the inventory, which does not concern an auditor.
    told = replace(run.info, inventory="")
    reports = {report_name(top, each.file): each.report(told) for each in REPORTS}
    write_reports(
        population.watch(run.assessments()), {folder / name: report for name, report in reports.items()}
    )
    files += [_measured(folder, name) for name in reports]
    hosts: list[Host] = []
    for host, snapshot in _paired(population.hosts, run.snapshots()):
        name = ""
        if snapshot is not None:
            name = snapshot_name(top, len(hosts) + 1, host.name)
            files.append(_write(folder, name, snapshot))
        elif not host.unreachable:
            raise HardenerError(f"the snapshot of {line(host.name)} is missing in run {run.info.run_id}")
        hosts.append(replace(host, snapshot=name))
    if not hosts:
        raise HardenerError(f"run {run.info.run_id} has no host: there is nothing to show")
    manifest = Run(
        info=run.info,
        verb=run.verb,
        exporter=__version__,
        inventory=run.inventory,
        decided=run.info.decisions.today if run.info.decisions else None,
        declared={what: hashlib.sha256(content).hexdigest() for what, content in run.declared.items()},
        selection=run.selection,
        controls=population.controls,
        hosts=tuple(hosts),
        counts=by_name(population.counts),
    )
    return manifest, tuple(files)


def stage_proof(
    identifier: str, content: Mapping[str, bytes], folder: Path
) -> tuple[Proof, tuple[File, ...]]:
    """Write the files of a proof below a folder.

    Args:
        identifier: the id of the proof in the history.
        content: the files of the proof, by name.
        folder: the top folder of the bundle.

    Returns:
        The entry of the proof in the manifest, and its files.

    Raises:
        HardenerError: a file cannot be written, or the files are not of one proof.
    """
    try:
        proven = check(content)
    except InconsistentError as error:
        raise HardenerError(f"proof {line(identifier)} cannot be exported: {error.message}") from error
    found = Proof(
        id=identifier,
        name=proven.proof.name,
        image=proven.proof.container.digest,
        recordings=proven.recordings,
        profile=hashlib.sha256(content[profile_document.NAME]).hexdigest(),
        verdict=proven.proof.verdict,
        exporter=__version__,
        files=proof_files(content),
    )
    return found, tuple(_write(folder, f"{found.folder}/{name}", content[name]) for name in found.files)


def instructions() -> bytes:
    """Return the README of a bundle, with instructions for the auditor."""
    return (Path(__file__).parent / "auditor.md").read_bytes()


class _Population:
    """Counts hosts and findings while the assessments are written to the reports."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.controls: tuple[str, ...] = ()
        self.counts: Counter[Status] = Counter()

    def watch(self, assessments: Iterable[Assessment]) -> Iterator[Assessment]:
        for assessment in assessments:
            controls = tuple(finding.control.slug for finding in assessment.findings)
            if self.hosts and controls != self.controls:
                raise HardenerError(
                    f"{line(assessment.host)} was judged by other controls than the previous hosts"
                )
            self.controls = controls
            reasons = (assessment.unreachable, assessment.not_begun, assessment.change_failed)
            self.hosts.append(Host(assessment.host, "", *reasons))
            self.counts.update(assessment.counts())
            yield assessment


def _paired(
    hosts: Iterable[Host], snapshots: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[Host, bytes | None]]:
    """Yield each host with its snapshot, or with None."""
    waiting = iter(snapshots)
    name, document = next(waiting, ("", None))
    for host in hosts:
        if document is not None and name in (host.name, scalar(host.name)):
            yield host, document
            name, document = next(waiting, ("", None))
        else:
            yield host, None
    if document is not None:
        raise HardenerError(f"there is a snapshot of {line(name)}, but no finding")


def _write(folder: Path, name: str, content: bytes) -> File:
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise HardenerError(f"cannot write {line(str(path))}: {error.strerror}") from error
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def _measured(folder: Path, name: str) -> File:
    digest, size = hashlib.sha256(), 0
    for piece in pieces(folder / name):
        digest.update(piece)
        size += len(piece)
    return File(name, size, digest.hexdigest())


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces.

    Raises:
        HardenerError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
