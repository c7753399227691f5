"""Write the text of a report to its destination: one file, or a file for each part of a run.

CI systems and code scanning refuse files that are too large, and teams want only their own hosts. So a run
can be divided by host or by group; a part that its readers would refuse continues in another file.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.files import OutputFile

if TYPE_CHECKING:
    from hardener.model import Assessment
    from hardener.reports.interface import Report

_OPEN = 100  # files at once
_UNGROUPED = "ungrouped"
_LONGEST_NAME = 100


class Destination(ABC):
    """Writes the hosts of a run; no file is replaced before ``publish``."""

    def __init__(self) -> None:
        self.outputs: list[OutputFile] = []

    @abstractmethod
    def begin(self) -> None:
        """Write the beginning of the report."""

    @abstractmethod
    def host(self, assessment: Assessment) -> None:
        """Write one host."""

    @abstractmethod
    def complete(self) -> None:
        """Write the end of the report, and flush it to the disk."""

    def publish(self) -> None:
        """Rename all files to their final paths."""
        for output in self.outputs:
            output.publish()

    def discard(self) -> None:
        """Remove unpublished files."""
        for output in self.outputs:
            output.discard()


@dataclass(frozen=True, slots=True)
class Parts:
    """A report that is split into files: ``name`` returns the part of a host, ``make`` a part's report."""

    make: Callable[[], Report]
    name: Callable[[Assessment], str]
    of_one_host: bool = False


def by_host(make: Callable[[], Report]) -> Parts:
    """Return a report with a file for each host."""
    return Parts(make, lambda assessment: assessment.host, of_one_host=True)


def by_group(make: Callable[[], Report], assessments: Iterable[Assessment]) -> Parts:
    """Return a report with a file for each group.

    A host is in one file only, so that readers do not count it twice: in the file of its smallest group,
    which is the most specific one.

    Args:
        make: returns the report of a part.
        assessments: the hosts of the run; read once, to count the hosts of each group.
    """
    sizes = Counter(group for assessment in assessments for group in assessment.groups)

    def name(assessment: Assessment) -> str:
        return min(assessment.groups, key=lambda group: (sizes[group], group), default=_UNGROUPED)

    return Parts(make, name)


class Folder(ABC):
    """A report of several files in a folder, each with its path and text. An instance writes one run."""

    @abstractmethod
    def first(self) -> Iterator[tuple[str, str]]:
        """Yield the files that do not depend on hosts."""

    @abstractmethod
    def pages(self, assessment: Assessment) -> Iterator[tuple[str, str]]:
        """Yield the files of a host."""

    @abstractmethod
    def last(self) -> Iterator[tuple[str, str]]:
        """Yield the files that cover all hosts."""


def file_name(name: str) -> str:
    """Return a file name of letters, digits, ``-``, ``_`` and ``.``, which is different for each name.

    ``web`` and ``db01.example.com`` stay as they are. Any other name gets a digest, because two names could
    become equal by the replacement.
    """
    if re.fullmatch(r"[A-Za-z0-9-]+([._][A-Za-z0-9-]+)*", name) and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    shown = re.sub(r"[^A-Za-z0-9-]+", "_", name[:_LONGEST_NAME]).strip("_")
    return f"{shown}__{digest}"


def destination(path: Path, report: Report | Parts | Folder) -> Destination:
    """Return the destination of a report.

    Raises:
        HardenerError: its file cannot be written.
    """
    if isinstance(report, Parts):
        return PartFiles(path, report)
    return FolderFiles(path, report) if isinstance(report, Folder) else SingleFile(path, report)


class SingleFile(Destination):
    """One file with the whole run."""

    def __init__(self, path: Path, report: Report) -> None:
        super().__init__()
        self.report = report
        self._output = OutputFile(path)
        self.outputs.append(self._output)

    def begin(self) -> None:
        """Write the beginning of the report."""
        self._output.write(self.report.begin())

    def host(self, assessment: Assessment) -> None:
        """Write one host."""
        self._output.write(self.report.host(assessment))

    def complete(self) -> None:
        """Write the end of the report, and flush it to the disk."""
        for piece in self.report.end():
            self._output.write(piece)
        self._output.complete()


class PartFiles(Destination):
    """A file for each part, such as ``report-web.xml``; a full file continues in ``report-web+2.xml``."""

    def __init__(self, path: Path, parts: Parts) -> None:
        super().__init__()
        self._path = path
        self._parts = parts
        self._open: dict[str, SingleFile] = {}
        self._numbers: Counter[str] = Counter()

    def begin(self) -> None:
        """Write nothing yet: the first host determines the first part."""

    def host(self, assessment: Assessment) -> None:
        """Write one host to the file of its part."""
        name = self._parts.name(assessment)
        part = self._open.get(name) or self._begin(name)
        part.host(assessment)
        if self._parts.of_one_host or part.report.is_full:
            self._open.pop(name).complete()

    def complete(self) -> None:
        """Complete the files of all parts that have been begun."""
        if not self.outputs:  # a run without hosts has a file too
            self._take("", SingleFile(self._path, self._parts.make()))
        for part in self._open.values():
            part.complete()
        self._open.clear()

    def _begin(self, name: str) -> SingleFile:
        if len(self._open) == _OPEN:
            self._open.pop(next(iter(self._open))).complete()
        self._numbers[name] += 1
        number = f"+{self._numbers[name]}" if self._numbers[name] > 1 else ""
        report = self._parts.make()
        report.part = f"{file_name(name)}{number}"
        path = self._path.with_name(f"{self._path.stem}-{report.part}{self._path.suffix}")
        return self._take(name, SingleFile(path, report))

    def _take(self, name: str, part: SingleFile) -> SingleFile:
        self.outputs += part.outputs
        self._open[name] = part
        part.begin()
        return part


class FolderFiles(Destination):
    """The files of a folder; other files in the folder stay unchanged."""

    def __init__(self, path: Path, folder: Folder) -> None:
        super().__init__()
        self._path = path
        self._folder = folder

    def begin(self) -> None:
        """Write the files that do not depend on hosts."""
        self._write(self._folder.first())

    def host(self, assessment: Assessment) -> None:
        """Write the files of a host."""
        self._write(self._folder.pages(assessment))

    def complete(self) -> None:
        """Write the files over all hosts."""
        self._write(self._folder.last())

    def _write(self, files: Iterable[tuple[str, str]]) -> None:
        for name, text in files:
            file = OutputFile(self._path / name)
            self.outputs.append(file)
            file.write(text)
            file.complete()
