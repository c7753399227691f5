"""Register the report formats by name; a new format needs a module and one line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.reports.destinations import Folder
    from hardener.reports.interface import Report
    from hardener.run import RunInfo


@dataclass(frozen=True, slots=True)
class Format:
    """A report format; its module is imported on first use, to keep start-up fast.

    ``factory`` is ``module:class`` of its report in this package; ``file`` is its file name in a folder with
    all formats. A format that ``looks_back`` shows the changes since the previous run; one that ``splits``
    can be divided into several files, since its readers have size limits.
    """

    name: str
    title: str
    factory: str
    file: str
    looks_back: bool = False
    splits: bool = False

    def report(self, run: RunInfo, previous: PreviousRuns | None = None) -> Report:
        """Create a report of a run in this format; ``previous`` are the earlier runs."""
        report: Report = self._load()(run, previous)
        return report

    def load(self) -> None:
        """Import the module of the format now."""
        self._load()

    def _load(self) -> Any:
        module, _, name = self.factory.partition(":")
        return getattr(import_module(f"hardener.reports.{module}"), name)


@dataclass(frozen=True, slots=True)
class FolderFormat(Format):
    """A format that is a folder of files."""

    def folder(self, run: RunInfo, previous: PreviousRuns | None = None) -> Folder:
        """Create a report of a run in this format; ``previous`` are the earlier runs."""
        folder: Folder = self._load()(run, previous)
        return folder


FORMATS = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("csv", "CSV", "csv:CsvReport", "report.csv"),
            Format("html", "HTML", "html:HtmlReport", "report.html", looks_back=True),
            Format("json", "JSON", "native:NativeReport", "report.json"),
            Format("junit", "JUnit", "junit:JUnitReport", "report.junit.xml", splits=True),
            Format("markdown", "Markdown", "markdown:MarkdownReport", "report.md", looks_back=True),
            Format("ndjson", "NDJSON", "native:LinesReport", "report.ndjson"),
            Format("ocsf", "OCSF", "ocsf:OcsfReport", "report.ocsf.ndjson"),
            Format("oscal", "OSCAL", "oscal:OscalReport", "report.oscal.json"),
            Format("sarif", "SARIF", "sarif:SarifReport", "report.sarif", splits=True),
        )
    }
)

FOLDERS = MappingProxyType(
    {"html-dir": FolderFormat("html-dir", "HTML pages", "html_folder:HtmlFolder", "html", looks_back=True)}
)
