"""The words everyone speaks: control, verdict, finding, assessment.

Everything here is frozen, knows nothing of hosts, files or Ansible, and can be compared and stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """How a control stands on one host. Every control of a benchmark has exactly one."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    MANUAL = "manual"
    NOT_APPLICABLE = "not_applicable"
    WAIVED = "waived"
    ERROR = "error"


class Severity(StrEnum):
    """What an open control can cost: ``critical`` gives the host away, ``low`` is hygiene."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Impact(StrEnum):
    """What it costs to remediate a control on a running host, cheapest first."""

    NONE = "none"
    RELOAD = "reload"
    DAEMON_RESTART = "daemon-restart"
    CONNECTIVITY = "connectivity"
    CONTAINERS_STOP = "containers-stop"
    CONTAINERS_RECREATE = "containers-recreate"
    DATA_HIDDEN = "data-hidden"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True)
class Remediation:
    """The role that fixes a control, and the variable of that role that decides it."""

    role: str
    variable: str
    impact: Impact


@dataclass(frozen=True, slots=True)
class FrameworkMapping:
    """One framework's requirements that a control serves, and who says so."""

    framework: str  # "cis-controls-v8" | "nist-800-190" | "nist-800-53r5" | "pci-dss-4.0"
    requirements: tuple[str, ...]
    source: str  # "benchmark" or "judgement" (this project's)


@dataclass(frozen=True, slots=True)
class BenchmarkRef:
    """A control's place in one benchmark version."""

    id: str
    level: int
    assessment: str  # "automated" | "manual", as the benchmark marks it


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that must hold on a host, described in our own words."""

    slug: str
    section: str
    title: str
    severity: Severity
    rationale: str
    decision: str  # which effective fact decides it
    fix: str  # what to do by hand
    remediation: Remediation | None
    mappings: tuple[FrameworkMapping, ...]
    benchmarks: Mapping[str, BenchmarkRef]  # benchmark name, e.g. "cis-docker-1.8.0" -> place

    def id_in(self, benchmark: str) -> str:
        """The id that people know it by in a benchmark version; its slug where the benchmark has none."""
        place = self.benchmarks.get(benchmark)
        return place.id if place else self.slug


@dataclass(frozen=True, slots=True)
class Offender:
    """One object that breaks a control."""

    kind: str  # "container" | "image" | "file" | "network" | "setting" | "rule" | "package" | ...
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check decided from the facts of one host.

    ``expected`` and ``actual`` are one line each and stand alone. ``evidence`` lists the facts behind the
    verdict; for ``MANUAL`` it is exactly what a person has to look at. ``checked`` counts the objects that
    were looked at, so that "2 of 7 containers" can be said.
    """

    status: Status
    expected: str
    actual: str
    offenders: tuple[Offender, ...] = ()
    evidence: tuple[str, ...] = ()
    checked: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A control's verdict on one host, as it stands in every report."""

    control: Control
    verdict: Verdict

    @property
    def status(self) -> Status:
        """The verdict's status."""
        return self.verdict.status


@dataclass(frozen=True, slots=True)
class Assessment:
    """Every control of a benchmark, judged on one host.

    A host that could not be reached has an ``unreachable`` reason and the same number of findings as any
    other, each of them an error.
    """

    host: str
    benchmark: str
    collected_at: str  # RFC 3339, UTC; "" where nothing was collected
    findings: tuple[Finding, ...]
    unreachable: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)  # a few facts a reader wants: os, docker, kernel

    def counts(self) -> Counter[Status]:
        """Number of findings by status."""
        return Counter(finding.status for finding in self.findings)

    def failing(self) -> tuple[Finding, ...]:
        """The findings that fail, in benchmark order."""
        return tuple(finding for finding in self.findings if finding.status is Status.FAIL)
