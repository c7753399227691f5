"""Judge the facts in a bundle again, and compare the result with its reports.

The same version of hardener gives the same findings and byte-identical reports, so the signer of a bundle
cannot have altered one of them. Another catalogue or version may judge differently for good reasons: the
differences are counted and reported, but do not lead to a refusal.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hardener import __version__, catalogue
from hardener.assess import assess, unreachable
from hardener.bounded import parse
from hardener.decisions.document import DocumentError
from hardener.decisions.files import stored_decisions
from hardener.errors import HardenerError
from hardener.evidence.layout import REPORTS, declared_name, report_name
from hardener.evidence.manifest import MANIFEST, Host, Run
from hardener.evidence.refusal import Refused
from hardener.model import Assessment, Control, Decisions
from hardener.reports.formats import FORMATS
from hardener.reports.interface import Report
from hardener.snapshot import Snapshot
from hardener.text import line, scalar

MAX_SNAPSHOT = 256 << 20  # bytes; a host with a thousand containers needs twenty million
_MAX_LINE = 64 << 20  # bytes of one host in the report
_MOST_VALUES = 4_000_000  # in it
_LINES = FORMATS["ndjson"].file
_LEVELS = (1, 2)  # of the benchmarks

Statuses = tuple[tuple[str, str], ...]  # slug and status, in the order of the report
Groups = tuple[str, ...]  # of a host, in the inventory


@dataclass(frozen=True, slots=True)
class Reassessed:
    """The result of judging a run again."""

    run_id: str
    judge: str  # the other version that judged the run, empty if it was this one
    writer: str  # the other version that wrote the reports, empty if it was this one
    differences: int  # number of findings that differ; only after another version judged


class Reassessment:
    """Judges one run of a bundle again while its files are read.

    Args:
        run: the run, as the manifest describes it.
        sums: SHA-256 of the files of the bundle by name, with all files that an export of the run writes.

    Raises:
        Refused: a file of decisions is not the one that the run names, or its controls do not match its
            selection.
        HardenerError: this version does not have the run's benchmark.
    """

    def __init__(self, run: Run, sums: Mapping[str, str]) -> None:
        self._run = run
        self._sums = sums
        self._judge = _other_judge(run)
        self._writer = "" if run.exporter == __version__ else run.exporter
        self._controls = _controls(run)
        if not self._judge:
            _require_selected(run)
        self._reported = _Reported(self._name(_LINES))
        self._declared: dict[str, bytes] = {}
        self._decisions: Decisions | None = None
        self._reports: dict[str, Report] = {}
        self._written = {self._name(each.file): hashlib.sha256() for each in REPORTS}
        self._waiting = iter(run.hosts)
        self._differences = 0
        self._counts: Counter[str] = Counter()
        self._declarations = {declared_name(run.folder, what): what for what in run.declared}
        for name, what in self._declarations.items():
            if sums[name] != run.declared[what]:
                raise Refused(name, "differs from the decision file that the manifest records for the run")

    def is_declared(self, name: str) -> bool:
        """Return whether a file has the waivers or the attestations of the run."""
        return name in self._declarations

    def declared(self, name: str, document: bytes) -> None:
        """Read the decisions of the run; they come before all snapshots."""
        self._declared[self._declarations[name]] = document

    def watch(self, name: str) -> Callable[[bytes], None] | None:
        """Return a function that receives the content of a file; None if the content is only hashed."""
        return self._reported.feed if name == self._reported.name else None

    def snapshot(self, name: str, document: bytes) -> None:
        """Judge the next host.

        Raises:
            Refused: its findings differ from the reports, or this is not the snapshot of the next host.
        """
        self._begin()
        for host in self._waiting:
            if host.snapshot == name:
                self._compare(host, document)
                return
            if host.snapshot:
                break
            self._compare(host, None)
        raise Refused(name, "no host of the report has this snapshot, or it is out of order")

    def finish(self) -> Reassessed:
        """Check at the end of the run that every report follows from the findings.

        Raises:
            Refused: a report differs.
        """
        self._begin()
        for host in self._waiting:
            self._compare(host, None)
        self._reported.finish()
        if self._counts != Counter(self._run.counts):
            raise Refused(MANIFEST, f"the counts of run {self._run.info.run_id} differ from its reports")
        for name, report in self._reports.items():
            for piece in report.end():
                self._write(name, piece)
        if not self._judge and not self._writer:
            for name, digest in self._written.items():
                if digest.hexdigest() != self._sums[name]:
                    raise Refused(name, "the report does not follow from the snapshots in the bundle")
        return Reassessed(self._run.info.run_id, self._judge, self._writer, self._differences)

    def _begin(self) -> None:
        """Begin to write the reports for the comparison, once all data before the first host are known."""
        if self._reports:
            return
        info = self._run.info
        if day := self._run.decided:
            folder = f"{self._run.folder}/declared"
            try:
                decided = stored_decisions(self._declared, name=folder, today=day)
            except DocumentError as error:
                raise Refused(folder, f"{error.problems[0].at(error.path)}") from None
            self._decisions = decided or Decisions(day)
        said = dataclasses.replace(info, decisions=self._decisions)
        self._reports = {self._name(each.file): each.report(said) for each in REPORTS}
        for name, report in self._reports.items():
            self._write(name, report.begin())

    def _name(self, file: str) -> str:
        return report_name(self._run.folder, file)

    def _write(self, name: str, text: str) -> None:
        self._written[name].update(text.encode())

    def _compare(self, host: Host, document: bytes | None) -> None:
        reported, groups = self._reported.next(host)
        assessment = dataclasses.replace(
            self._assess(host, document, groups),
            not_begun=host.not_begun,
            change_failed=host.change_failed,
        )
        if tuple(slug for slug, _ in reported) != self._run.controls:
            raise Refused(self._reported.name, f"{line(host.name)} has other controls than the manifest")
        self._counts.update(status for _, status in reported)
        found = {each.control.slug: each.status.value for each in assessment.findings}
        differing = [(slug, was, now) for slug, was in reported if (now := found.get(slug, "unknown")) != was]
        if differing and not self._judge:
            slug, was, now = differing[0]
            more = f", and {len(differing) - 1} more" if len(differing) > 1 else ""
            where = f"{line(host.name)}: {slug}"
            raise Refused(
                self._reported.name, f"{where} is reported as {was}, the snapshot gives {now}{more}"
            )
        self._differences += len(differing)
        for name, report in self._reports.items():
            self._write(name, report.host(assessment))

    def _assess(self, host: Host, document: bytes | None, groups: Groups) -> Assessment:
        """Judge a host; the groups of a host without facts are taken from its report."""
        benchmark = self._run.info.benchmark
        if document is None or host.unreachable:
            return unreachable(
                host.name, host.unreachable, self._controls, benchmark=benchmark, groups=groups
            )
        try:
            snapshot = Snapshot.parse(document, name=host.snapshot)
        except HardenerError as error:
            raise Refused(host.snapshot, error.message) from None
        return assess(
            snapshot,
            self._controls,
            benchmark=benchmark,
            host=host.name,  # The inventory decides the name of the host, not the document.
            decisions=self._decisions,
        )


class _Reported:
    """Reads the findings of a run from its report in JSON lines; keeps only the status of each finding.

    Args:
        name: the file name of the report.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: list[bytes] = []  # pieces of the incomplete line
        self._length = 0
        self._hosts: list[tuple[str, Statuses, Groups]] = []
        self._waiting: Iterator[tuple[str, Statuses, Groups]] | None = None
        self._known: dict[Any, Any] = {}  # hosts of a fleet are similar, so equal values are stored once

    def feed(self, piece: bytes) -> None:
        """Feed the next piece of the file."""
        first, *more = piece.split(b"\n")
        self._open.append(first)
        self._length += len(first)
        if self._length > _MAX_LINE:
            raise Refused(self.name, f"a line of the report has more than {_MAX_LINE} bytes")
        if more:
            for text in (b"".join(self._open), *more[:-1]):
                self._line(text)
            self._open, self._length = [more[-1]], len(more[-1])

    def next(self, host: Host) -> tuple[Statuses, Groups]:
        """Return the findings and groups of the next host; refuse it if it is not ``host``."""
        if self._waiting is None:
            self._waiting = iter(self._hosts)
        name, statuses, groups = next(self._waiting, ("", (), ()))
        if name != scalar(host.name):
            raise Refused(
                self.name, f"has {line(name) or 'no host'} where the manifest has {line(host.name)}"
            )
        return statuses, groups

    def finish(self) -> None:
        """Check that the whole report was read and compared."""
        if self._length or next(self._waiting or iter(self._hosts), None):
            raise Refused(self.name, "has more hosts than the manifest")

    def _line(self, text: bytes) -> None:
        try:
            read: dict[str, Any] = parse(text, most_values=_MOST_VALUES)
            if host := read.get("host"):
                pairs = ((str(each["slug"]), str(each["status"])) for each in host["findings"])
                statuses = tuple(self._known.setdefault(pair, pair) for pair in pairs)
                groups = tuple(map(str, host.get("groups", ())))
                self._hosts.append(
                    (
                        str(host["host"]),
                        self._known.setdefault(statuses, statuses),
                        self._known.setdefault(groups, groups),
                    )
                )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(self.name, f"not a report: {type(error).__name__} {error}") from None


def _other_judge(run: Run) -> str:
    """Return the version that judged the run, if its version or catalogue differs from this one."""
    info = run.info
    if info.catalogue_digest != catalogue.digest():
        return f"hardener {info.tool_version} with catalogue {info.catalogue_digest[:12]}"
    return "" if info.tool_version == __version__ else f"hardener {info.tool_version}"


def _controls(run: Run) -> tuple[Control, ...]:
    """Return the controls of the run in their order, without those that this catalogue lacks."""
    known = {control.slug: control for control in catalogue.load(run.info.benchmark)}
    return tuple(known[slug] for slug in run.controls if slug in known)


def _require_selected(run: Run) -> None:
    """Refuse controls that do not match the selection of the run.

    Otherwise a failing control could be removed from every report without a trace.
    """
    benchmark, chosen = run.info.benchmark, run.selection
    try:
        selected = catalogue.select(
            catalogue.load(benchmark), benchmark=benchmark, level=chosen.level, only=chosen.only
        )
    except HardenerError as error:
        raise Refused(MANIFEST, f"run {run.info.run_id}: {error.message}") from None
    if chosen.level not in _LEVELS or run.controls != tuple(control.slug for control in selected):
        raise Refused(MANIFEST, f"the controls of run {run.info.run_id} do not match its selection")
