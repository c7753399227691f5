"""Give typed access to the record that a scan leaves on a host (``docs/scan.md``).

The host is untrusted: a malformed record is an error, and text is made safe only when it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.contract import SCAN_FORMAT


class BadRecord(Exception):  # noqa: N818 - a state of the host, not a defect
    """A record is malformed."""


class ScanState(StrEnum):
    """The state of the packages of a root file system."""

    CLEAN = "clean"
    OUTDATED = "outdated"
    NOT_SCANNED = "not-scanned"  # its type of packages is not supported
    UNKNOWN = "unknown"  # no database, or no index that is known to be current


@dataclass(frozen=True, slots=True)
class Package:
    """A package with a security update; ``cves`` is None where its changelog was not read."""

    name: str
    installed: str
    fixed: str
    source: str
    cves: tuple[str, ...] | None = None
    cves_more: int = 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """The result for one root file system: the host's, or an image's."""

    state: ScanState
    reason: str  # why the state is unknown; for an outdated file system, the parts that were not compared
    scanned_at: str
    distribution: str
    release: str  # release number: "12"
    title: str  # release name for people
    index_date: str
    could_not: bool  # it could not be read, or its index could not
    checked: int
    packages: tuple[Package, ...]
    more: int  # number of outdated packages that the record does not list


@dataclass(frozen=True, slots=True)
class Restart:
    """A process that still runs files that an update has replaced."""

    pid: int
    name: str
    unit: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of another scanner in an image."""

    tool: str
    created: str
    findings: tuple[Mapping[str, Any], ...]
    more: int  # number of findings that the record does not list
    more_fixed: int  # number of those for which there is a fix
    system: bool  # whether it includes packages of the operating system
    ended: str  # the release that gets no more updates; else empty


@dataclass(frozen=True, slots=True)
class Rule:
    """A failed rule of a benchmark for operating systems."""

    name: str
    severity: str
    title: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of OpenSCAP on a host; ``error`` is the reason why there is none, else empty."""

    evaluated_at: str
    error: str
    content: str
    profile: str
    counts: Mapping[str, int]  # number of rules by result: "pass", "fail", "notapplicable", "error" ...
    failed: tuple[Rule, ...]
    more: int  # number of failing rules that the record does not list

    @property
    def doubtful(self) -> int:
        """Return the number of rules that OpenSCAP tried and could not decide."""
        return sum(self.counts.get(result, 0) for result in ("error", "unknown"))

    @property
    def unchecked(self) -> int:
        """Return the number of rules without a check, which a person has to decide."""
        return self.counts.get("notchecked", 0)


@dataclass(frozen=True, slots=True)
class Scan:
    """The record of a host's last scan."""

    scanned_at: str
    host: Scanned
    images: Mapping[str, Scanned]
    names: Mapping[str, str]  # of images
    reports: Mapping[str, tuple[Report, ...]]  # of other scanners, by image
    restarts: tuple[Restart, ...]
    reboot: bool
    engine_error: str
    openscap: Evaluation | None  # None where it was not requested
    read: int  # number of images that were not known before
    elapsed_s: float


def parse(raw: object) -> Scan:
    """Parse the record of a host's last scan.

    Raises:
        BadRecord: it is malformed; the message has the reason.
    """
    record = _table(raw, "the record")
    if record.get("format") != SCAN_FORMAT:
        raise BadRecord(f"the record's format is {str(record.get('format'))[:40]!r}, not {SCAN_FORMAT!r}")
    host = _table(record.get("host"), "host")
    listed = _table(record.get("images"), "images").items()
    images = {str(name): _table(each, "an image") for name, each in listed}
    reports = _table(record.get("imported", {}), "imported").items()
    return Scan(
        scanned_at=_text(record, "scanned_at"),
        host=_scanned(host),
        images={name: _scanned(each) for name, each in images.items()},
        names={name: next(iter(map(str, _rows(each, "names"))), name[:19]) for name, each in images.items()},
        reports={str(name): tuple(map(_report, each)) for name, each in reports if isinstance(each, list)},
        restarts=tuple(map(_restart, _rows(host, "restarts"))),
        reboot=bool(_table(host.get("reboot", {}), "reboot").get("required")),
        engine_error=str(record.get("engine_error") or ""),
        openscap=_evaluation(record["openscap"]) if record.get("openscap") else None,
        read=_number(record, "read"),
        elapsed_s=float(record["elapsed_s"]) if isinstance(record.get("elapsed_s"), int | float) else 0.0,
    )


def _evaluation(raw: object) -> Evaluation:
    entry = _table(raw, "openscap")
    error = str(entry.get("error") or "")
    failed = () if error else (_table(each, "a rule") for each in _rows(entry, "failed"))
    counts = {} if error else _table(entry.get("counts"), "counts")
    return Evaluation(
        evaluated_at=_text(entry, "evaluated_at"),
        error=error,
        content=str(entry.get("content") or ""),
        profile=str(entry.get("profile") or ""),
        counts={str(name): _number(counts, name) for name in counts},
        failed=tuple(Rule(*(_text(each, key) for key in ("id", "severity", "title"))) for each in failed),
        more=0 if error else _number(entry, "more"),
    )


def _scanned(raw: Mapping[str, Any]) -> Scanned:
    release = _table(raw.get("release") or {}, "release")
    index = _table(raw.get("index") or {}, "index")
    try:
        state = ScanState(_text(raw, "state"))
    except ValueError:
        raise BadRecord(f"unknown state {_text(raw, 'state')[:40]!r}") from None
    return Scanned(
        state=state,
        reason=_text(raw, "reason"),
        scanned_at=_text(raw, "scanned_at"),
        distribution=str(release.get("distribution") or ""),
        release=str(release.get("version") or ""),
        title=str(release.get("title") or ""),
        index_date=str(index.get("date") or ""),
        could_not=state is ScanState.UNKNOWN and (not release or bool(index)),
        checked=_number(raw, "checked"),
        packages=tuple(map(_package, _rows(raw, "packages"))),
        more=_number(raw, "more"),
    )


def _package(raw: object) -> Package:
    entry = _table(raw, "a package")
    cves = entry.get("cves")
    return Package(
        name=_text(entry, "name"),
        installed=_text(entry, "installed"),
        fixed=_text(entry, "fixed"),
        source=_text(entry, "source"),
        cves=tuple(map(str, cves)) if isinstance(cves, list) else None,
        cves_more=_number(entry, "cves_more") if "cves_more" in entry else 0,
    )


def _restart(raw: object) -> Restart:
    entry = _table(raw, "a process")
    files = tuple(map(str, _rows(entry, "files")))
    return Restart(_number(entry, "pid"), _text(entry, "name"), _text(entry, "unit"), files)


def _report(raw: object) -> Report:
    entry = _table(raw, "a report")
    findings = tuple(_table(each, "a finding") for each in _rows(entry, "findings"))
    return Report(
        tool=_text(entry, "tool"),
        created=_text(entry, "created"),
        findings=findings,
        more=_number(entry, "more"),
        more_fixed=_number(entry, "more_fixed"),
        system=entry.get("system") is True,
        ended=_text(entry, "ended"),
    )


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRecord(f"{what} is not an object")
    return value


def _rows(raw: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = raw.get(key)
    if not isinstance(value, list):
        raise BadRecord(f"{key} is not a list")
    return value


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise BadRecord(f"{key} is not a string")
    return value


def _number(raw: Mapping[str, Any], key: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int):
        raise BadRecord(f"{key} is not a number")
    return value
