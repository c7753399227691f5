"""The report formats by their names on the command line: a format is a module and one line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardener.comparison.previous_runs import PreviousRuns
    from hardener.reports.interface import Report
    from hardener.run import RunInfo


@dataclass(frozen=True, slots=True)
class Format:
    """A report format; its module is imported on first use, to keep start-up fast.

    ``factory`` is ``module:class`` of its report in this package; ``file`` is what it is called where all
    formats lie side by side. One that looks back tells what moved since the run before.
    """

    name: str
    title: str
    factory: str
    file: str
    looks_back: bool = False

    def report(self, run: RunInfo, previous: PreviousRuns | None = None) -> Report:
        """Create a report of a run in this format, with the earlier runs."""
        report: Report = self._load()(run, previous)
        return report

    def load(self) -> None:
        """Import the module of the format now."""
        self._load()

    def _load(self) -> type[Report]:
        module, _, name = self.factory.partition(":")
        factory: type[Report] = getattr(import_module(f"hardener.reports.{module}"), name)
        return factory


FORMATS = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("csv", "CSV", "csv:CsvReport", "report.csv"),
            Format("defectdojo", "DefectDojo", "defectdojo:DefectDojoReport", "report.defectdojo.json"),
            Format("html", "HTML", "html:HtmlReport", "report.html", looks_back=True),
            Format("json", "JSON", "native:NativeReport", "report.json"),
            Format("junit", "JUnit", "junit:JUnitReport", "report.junit.xml"),
            Format("markdown", "Markdown", "markdown:MarkdownReport", "report.md", looks_back=True),
            Format("ndjson", "NDJSON", "native:LinesReport", "report.ndjson"),
            Format("ocsf", "OCSF", "ocsf:OcsfReport", "report.ocsf.ndjson"),
            Format("oscal", "OSCAL", "oscal:OscalReport", "report.oscal.json"),
            Format("sarif", "SARIF", "sarif:SarifReport", "report.sarif"),
        )
    }
)
