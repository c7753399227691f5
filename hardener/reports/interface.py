"""Define the interface of reports, and write reports: one pass over the assessments for all files.

A report turns a run into text piece by piece, so that memory does not grow with the number of hosts. Files
appear whole or not at all: a full disk or an interrupted run leaves the earlier file as it was.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.errors import HardenerError
from hardener.model import Assessment
from hardener.reports.destinations import Destination, Folder, Parts, destination
from hardener.run import RunInfo
from hardener.text import line

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns


class Report(ABC):
    """One file in one format. An instance writes one run, once.

    Args:
        run: the run that is reported.
        previous: the earlier runs; reports that do not compare ignore them.
    """

    part = ""  # which part of the run a file has, where a run is divided among several files

    def __init__(self, run: RunInfo, previous: PreviousRuns | None = None) -> None:
        self.run = run
        self.previous = previous

    @abstractmethod
    def begin(self) -> str:
        """Return the text before the first host."""

    @abstractmethod
    def host(self, assessment: Assessment) -> str:
        """Return the text of one host."""

    @abstractmethod
    def end(self) -> Iterator[str]:
        """Yield the text after the last host, in pieces if it is long."""

    @property
    def is_full(self) -> bool:
        """Return whether the file is nearly as large as the readers of the format accept."""
        return False

    @property
    def excess(self) -> str:
        """Return why a reader of the format refuses a file as large as this; empty if none does."""
        return ""


def write_reports(
    assessments: Iterable[Assessment], reports: Mapping[Path, Report | Parts | Folder]
) -> list[str]:
    """Write reports of the same assessments, each to its files, with hosts in the given order.

    Missing folders are created. No file is replaced before all files are complete and on the disk. Devices
    and pipes are written host by host.

    Returns:
        Warnings about files that are larger than a reader accepts, with the way out.

    Raises:
        HardenerError: a file cannot be written (the message names it), or two reports have the same file.
    """
    if len({os.path.realpath(path) for path in reports}) < len(reports):
        raise HardenerError("two reports would go to the same file", hint="give each a path of its own")
    outputs: list[Destination] = []
    try:
        for path, report in reports.items():
            outputs.append(destination(path, report))
        for output in outputs:
            output.begin()
        for assessment in assessments:
            for output in outputs:
                output.host(assessment)
        for output in outputs:
            output.complete()
        for output in outputs:
            output.publish()
    finally:
        for output in outputs:
            output.discard()
    return [
        f"{line(str(path))}: {report.excess}: --split host or --split group writes several smaller files"
        for path, report in reports.items()
        if isinstance(report, Report) and report.excess
    ]
