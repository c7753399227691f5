"""Scan a fleet for security updates, and store reports of other scanners on hosts with the scanned images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hardener.errors import ExitCode
from hardener.files import write_text
from hardener.fleet import Fleet, requests
from hardener.fleet.answers import Watcher
from hardener.scan import imports, vex
from hardener.scan.record import Scan
from hardener.scan.vex import Match, Statement, Statements
from hardener.text import line, scalar
from hardener.workflows import exit_codes
from hardener.workflows.listener import Listener


class AnswerPhase(Watcher, Protocol):
    """Receives the events of a phase, and the hosts whose answers are unreadable."""

    def problem(self, host: str, text: str) -> None:
        """Report that the answer of a host is unreadable."""


class AnswerListener(Listener, Protocol):
    """Receives the progress of a workflow that reads answers of hosts."""

    def phase(self, label: str) -> AbstractContextManager[AnswerPhase]:
        """Show a run of Ansible until the context ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """A request for a scan.

    Args:
        images: the images of the hosts' engines too.
        cves: name the CVE ids that updates close.
        openscap: have OpenSCAP evaluate the hosts too.
        reports: files of other scanners' reports, which are matched with the images.
        vex: files of VEX statements; with them the CVE ids are named, since statements are matched by these.
        json_file: the file for all records; None writes none.
    """

    images: bool
    cves: bool
    openscap: bool
    reports: tuple[Path, ...] = ()
    vex: tuple[Path, ...] = ()
    json_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The findings of each host, by its name, and whether images were scanned.

    ``said`` has the VEX statements that apply to the findings of each host, ``unused`` those that apply to
    none.
    """

    scans: Mapping[str, Scan]
    images: bool
    exit_code: ExitCode
    said: Mapping[str, Sequence[Match]] = field(default_factory=dict)
    unused: Sequence[Statement] = ()


def scan(reach: Callable[[], Fleet], request: ScanRequest, listener: AnswerListener) -> ScanResult:
    """Have hosts compare their packages with the security index of their release.

    Args:
        reach: gives the fleet; asks for the passwords that are needed, once all else is checked.
        request: the scan.
        listener: receives the progress.

    Raises:
        HardenerError: a report or a VEX document cannot be read, or Ansible stopped before any host.
    """
    reports = [imports.load(path) for path in request.reports]
    statements = Statements(each for path in request.vex for each in vex.load(path))
    cves = request.cves or bool(request.vex)
    answers = requests.scan(
        reach(), images=request.images, cves=cves, openscap=request.openscap, reports=reports
    )
    scans: dict[str, Scan] = {}
    raw: dict[str, Any] = {}
    with answers, listener.phase("scan") as phase:
        for answer in answers.each(phase):
            if answer.record is None:
                phase.problem(answer.host, answer.problem)
                continue
            scans[answer.host], raw[answer.host] = answer.record, answer.raw
    said = {host: statements.of(each) for host, each in scans.items()} if request.vex else {}
    for host, matches in said.items():
        raw[host] = {**raw[host], "vex": [_match_document(each) for each in matches]}
    if request.json_file:
        text = json.dumps(raw, indent=1, ensure_ascii=True)
        write_text(request.json_file, scalar(text, 1 << 30) + "\n")
    for path, report in zip(request.reports, reports, strict=True):
        if not any(report["image"] in each.reports for each in scans.values()):
            listener.warning(f"no host has the image of {line(str(path))}")
    code = exit_codes.of_scans(
        scans.values(),
        all_hosts=scans.keys() >= answers.outcomes.keys(),
        images=request.images,
        openscap=request.openscap,
    )
    return ScanResult(scans, request.images, code, said, statements.unused)


def _match_document(match: Match) -> dict[str, str]:
    """Return a statement and the finding to which it applies, for JSON."""
    statement = match.statement
    return {
        "object": match.object,
        "package": match.package,
        "vulnerability": match.vulnerability,
        "status": statement.status.value,
        "justification": statement.why,
        "statement": statement.text,
        "source": statement.source,
    }
