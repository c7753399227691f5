"""The CSV report (RFC 4180), for spreadsheets: one row for each control on each host.

Spreadsheets evaluate text that looks like a formula, and text such as the name of a container is untrusted:
such a cell gets a leading apostrophe, which makes it text in spreadsheets. Spreadsheets whose list separator
is the semicolon split cells there, so text after one is protected as well. Programs should read the JSON
report, which has the original text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from hardener.catalogue.words import FRAMEWORKS
from hardener.decisions.remarks import attestation_remark, waiver_remark
from hardener.model import Assessment, Control, Finding
from hardener.reports.interface import Report
from hardener.reports.lib.text import offender
from hardener.text import first, line

_BYTE_ORDER_MARK = "\ufeff"  # without it Excel reads UTF-8 as the encoding of its region; others skip it
_OFFENDERS_SHOWN = 20
_CELL = 2000  # characters; the limit of spreadsheets is 32767

# First characters of formulas, in ASCII and in the full-width forms of Japanese spreadsheets.
_FORMULA = re.compile(r"""(^|;)([\s"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])""")


class CsvReport(Report):
    """CSV for spreadsheets."""

    def begin(self) -> str:
        """Return the names of the columns. They are a stable interface: new columns come last."""
        return _BYTE_ORDER_MARK + _row(_COLUMNS)

    def host(self, assessment: Assessment) -> str:
        """Return one row for each control; an unreachable host has as many rows as any other."""
        return "".join(
            _row(cell(finding, assessment) for cell in _COLUMNS.values()) for finding in assessment.findings
        )

    def end(self) -> Iterator[str]:
        """Yield nothing: readers would take a row of totals for data."""
        yield from ()


def _row(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(map(_inert, cells))
    return text.getvalue()


@lru_cache(maxsize=4096)  # most cells are texts of the catalogue, repeated for every host
def _inert(text: str) -> str:
    return _FORMULA.sub(r"\1\2'", line(text, _CELL))


def _level(control: Control, benchmark: str) -> str:
    place = control.benchmarks.get(benchmark)
    return str(place.level) if place else ""


def _requirements(framework: str) -> Callable[[Finding, Assessment], str]:
    return lambda finding, _: " ".join(
        requirement
        for mapping in finding.control.mappings
        if mapping.framework == framework
        for requirement in mapping.requirements
    )


def _source(framework: str) -> Callable[[Finding, Assessment], str]:
    return lambda finding, _: " ".join(
        mapping.source for mapping in finding.control.mappings if mapping.framework == framework
    )


_COLUMNS: dict[str, Callable[[Finding, Assessment], str]] = {
    "host": lambda _, assessment: assessment.host,
    "collected_at": lambda _, assessment: assessment.collected_at,
    "benchmark": lambda _, assessment: assessment.benchmark,
    "id": lambda finding, assessment: finding.control.id_in(assessment.benchmark),
    "slug": lambda finding, _: finding.control.slug,
    "section": lambda finding, assessment: finding.control.section_in(assessment.benchmark),
    "level": lambda finding, assessment: _level(finding.control, assessment.benchmark),
    "severity": lambda finding, _: finding.severity.value,
    "status": lambda finding, _: finding.status.value,
    "title": lambda finding, _: finding.control.title,
    "expected": lambda finding, _: finding.verdict.expected,
    "actual": lambda finding, _: finding.verdict.actual,
    "checked": lambda finding, _: str(finding.verdict.checked),
    "offending": lambda finding, _: str(len(finding.verdict.offenders)),
    "offenders": lambda finding, _: " | ".join(
        first([offender(each) for each in finding.verdict.offenders], _OFFENDERS_SHOWN)
    ),
    "fix": lambda finding, _: finding.control.fix,
    "role": lambda finding, _: finding.control.remediation.role if finding.control.remediation else "",
    **{framework: _requirements(framework) for framework in FRAMEWORKS},
    **{f"{framework} by": _source(framework) for framework in FRAMEWORKS},
    "waivers": lambda finding, _: " | ".join(map(waiver_remark, finding.waivers)),
    "attestations": lambda finding, _: " | ".join(map(attestation_remark, finding.attestations)),
    "groups": lambda _, assessment: " ".join(assessment.groups),
    "not begun": lambda _, assessment: assessment.not_begun,
    "change failed": lambda _, assessment: assessment.change_failed,
}
