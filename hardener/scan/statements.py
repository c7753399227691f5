"""Find the VEX statements that apply to the findings of a scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hardener.scan.record import Scan, Scanned
from hardener.scan.vex import Image, Package, Statement

HOST = "the host"


@dataclass(frozen=True, slots=True)
class Match:
    """A statement, and the finding to which it applies.

    Attributes:
        object: ``the host``, or the id of an image.
        package: the package with the vulnerability.
        vulnerability: its id in the finding.
        statement: the statement.
    """

    object: str
    package: str
    vulnerability: str
    statement: Statement


class Statements:
    """The statements of all documents; records which of them applied to a finding."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._all = tuple(statements)
        self._used: set[int] = set()
        self._by_id: dict[str, list[int]] = {}
        for number, statement in enumerate(self._all):
            for name in statement.ids:
                self._by_id.setdefault(name, []).append(number)

    def of(self, scan: Scan) -> tuple[Match, ...]:
        """Return the statements that apply to the findings of a host and of its images."""
        found: dict[tuple[str, str, str, int], Match] = {}
        for where, image, vulnerability, package, name in _findings(scan):
            for number in self._by_id.get(vulnerability.upper(), ()):
                statement = self._all[number]
                if statement.is_about(vulnerability, package, image):
                    self._used.add(number)
                    found[where, name, vulnerability, number] = Match(where, name, vulnerability, statement)
        return tuple(found.values())

    @property
    def unused(self) -> Sequence[Statement]:
        """Return the statements that have not applied to any finding so far."""
        return [each for number, each in enumerate(self._all) if number not in self._used]


def _findings(scan: Scan) -> Iterator[tuple[str, Image | None, str, Package, str]]:
    """Yield object, image, vulnerability, package and package name of each finding."""
    yield from ((HOST, None, *found) for found in _of_packages(scan.host))
    for identity, scanned in scan.images.items():
        image = Image(identity, scan.names.get(identity, ""))
        yield from ((identity, image, *found) for found in _of_packages(scanned))
    for identity, reports in scan.reports.items():
        image = Image(identity, scan.names.get(identity, ""))
        for report in reports:
            for each in report.findings:
                name, version = str(each.get("package", "")), str(each.get("installed", ""))
                package = Package(frozenset({name}), version)
                yield identity, image, str(each.get("id", "")), package, name


def _of_packages(scanned: Scanned) -> Iterator[tuple[str, Package, str]]:
    for each in scanned.packages:
        package = Package(frozenset({each.name, each.source}), each.installed)
        yield from ((cve, package, each.name) for cve in each.cves or ())
