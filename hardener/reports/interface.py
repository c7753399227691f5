"""What a report is, and how reports get written: one pass over the assessments, however many files.

A report turns a run into text piece by piece, so that memory does not grow with the number of hosts. Files
appear whole or not at all: a full disk or an interrupted run leaves the earlier file as it was.
"""

from __future__ import annotations

import os
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hardener.errors import HardenerError
from hardener.model import Assessment, Decisions
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What every report says about the run that it reports."""

    run_id: str
    tool_version: str
    benchmark: str
    catalogue_digest: str
    ansible_version: str  # "" where Ansible had no part in it (stored snapshots)
    started: datetime  # both moments with their time zone
    ended: datetime
    decisions: Decisions | None = None  # that were applied; None where nobody gave any


class Report(ABC):
    """One file in one format. An instance writes one run, once.

    Args:
        run: the run that is reported.
        previous: what there was before it; a report that says nothing of it is the same without.
    """

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        self.run = run
        self.previous = previous

    @abstractmethod
    def begin(self) -> str:
        """The text before the first host."""

    @abstractmethod
    def host(self, assessment: Assessment) -> str:
        """The text of one host."""

    @abstractmethod
    def end(self) -> Iterator[str]:
        """The text after the last host, in pieces where it is long."""


def write_reports(assessments: Iterable[Assessment], reports: Mapping[Path, Report]) -> None:
    """Write reports of the same assessments, each to its file, hosts in the order they come.

    A missing folder is made. No file is replaced before all of them are complete and on the disk. A device or
    a pipe is written to as the hosts come.

    Raises:
        HardenerError: a file cannot be written, says which; or two reports would go to one file.
    """
    if len({os.path.realpath(path) for path in reports}) < len(reports):
        raise HardenerError("two reports would go to the same file", hint="give each a path of its own")
    outputs: list[tuple[Report, _Output]] = []
    try:
        for path, report in reports.items():
            outputs.append((report, _Output(path)))
        for report, output in outputs:
            output.write(report.begin())
        for assessment in assessments:
            for report, output in outputs:
                output.write(report.host(assessment))
        for report, output in outputs:
            for piece in report.end():
                output.write(piece)
            output.complete()
        for _, output in outputs:
            output.publish()
    finally:
        for _, output in outputs:
            output.discard()


def pieces(report: Report, assessments: Iterable[Assessment]) -> Iterator[str]:
    """The text of a report, piece by piece, for what is no file."""
    yield report.begin()
    yield from map(report.host, assessments)
    yield from report.end()


def write_text(path: Path, text: str, *, mode: int = 0o600, shared: bool = False) -> None:
    """Write a file that is no report of assessments, with the same care.

    Args:
        path: the file.
        text: what it is to hold.
        mode: who may read it; only its owner, unless others have to.
        shared: others may read it too, as far as they can read the one that it replaces.

    Raises:
        HardenerError: it cannot be written.
    """
    output = _Output(path, mode=mode, shared=shared)
    try:
        output.write(text)
        output.complete()
        output.publish()
    finally:
        output.discard()


def utc(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, to the second: ``2026-11-25T00:30:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _take_over(descriptor: int, path: Path) -> None:
    """Give an open file the mode and the owner of the one that it will replace."""
    try:
        known = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode))
    with suppress(PermissionError):  # only root can
        os.fchown(descriptor, known.st_uid, known.st_gid)


class _Output:
    """A file that is written beside its place and moved there when it is complete.

    Only its owner may read a report, as a snapshot: it tells an attacker where to begin. One that is shared
    keeps the owner and the mode of the file that it replaces.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, shared: bool = False) -> None:
        self._path = path
        self._draft: Path | None = None
        with self._named():
            # Renaming over a device or a pipe would replace it for everybody: /dev/stdout, /dev/null.
            if path.exists() and not path.is_file():
                self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")
                return
            self._path = Path(os.path.realpath(path))  # the file that a link points to, not the link
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._path.parent, prefix=".hardener-", suffix=".part")
            self._draft = Path(draft)
            os.fchmod(descriptor, mode)
            if shared:
                _take_over(descriptor, self._path)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")

    def write(self, text: str) -> None:
        with self._named():
            self._file.write(text)

    def complete(self) -> None:
        """Everything is on the disk, or the disk's error is known."""
        with self._named():
            self._file.flush()
            if self._draft:
                os.fsync(self._file.fileno())
            self._file.close()

    def publish(self) -> None:
        if self._draft:
            with self._named():
                self._draft.replace(self._path)
            self._draft = None

    def discard(self) -> None:
        """Leave nothing behind of what was not published."""
        with suppress(OSError):  # what could not be flushed is not wanted any more
            self._file.close()
        if self._draft:
            self._draft.unlink(missing_ok=True)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "" if self._draft is None else "an earlier file there is unchanged"
            raise HardenerError(
                f"cannot write {line(str(self._path))}: {error.strerror or error}", hint=hint
            ) from error
