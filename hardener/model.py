"""The words everyone speaks: control, verdict, waiver, attestation, finding, assessment.

Everything here is frozen, knows nothing of hosts, files or Ansible, and can be compared and stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from hashlib import sha256

from ansible_collections.hardener.docker.plugins.module_utils import contract


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

    NONE = contract.NONE
    RELOAD = contract.RELOAD
    DAEMON_RESTART = contract.DAEMON_RESTART
    CONNECTIVITY = contract.CONNECTIVITY
    CONTAINERS_STOP = contract.CONTAINERS_STOP
    CONTAINERS_RECREATE = contract.CONTAINERS_RECREATE
    DATA_HIDDEN = contract.DATA_HIDDEN
    REBOOT = contract.REBOOT


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
    unseen: str = ""  # what the decision cannot see

    def id_in(self, benchmark: str) -> str:
        """The id that people know it by in a benchmark version; its slug where the benchmark has none."""
        place = self.benchmarks.get(benchmark)
        return place.id if place else self.slug

    def section_in(self, benchmark: str) -> str:
        """``5 runtime``: the section's number in a benchmark version, and the name that ``--only`` takes."""
        place = self.benchmarks.get(benchmark)
        return f"{place.id.partition('.')[0]} {self.section}" if place else self.section


@dataclass(frozen=True, slots=True)
class Offender:
    """One object that breaks a control."""

    kind: str  # "container" | "image" | "file" | "network" | "setting" | "rule" | "package" | ...
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """What is not known of objects beside the offenders: an error, or a question for a person."""

    status: Status
    actual: str
    offenders: tuple[Offender, ...] = ()  # those that a person has to look at


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check decided from the facts of one host.

    ``expected`` and ``actual`` are one line each and stand alone. ``evidence`` lists the facts behind the
    verdict; for ``MANUAL`` it is exactly what a person has to look at. ``checked`` counts the objects that
    were looked at, so that "2 of 7 containers" can be said. ``undecided`` is what would be left to say if
    every offender were waived. ``severity`` is its own, where it is not the control's.
    """

    status: Status
    expected: str
    actual: str
    offenders: tuple[Offender, ...] = ()
    evidence: tuple[str, ...] = ()
    checked: int = 0
    undecided: Undecided | None = None
    severity: Severity | None = None


class Standing(StrEnum):
    """What becomes of a waiver or an attestation on one host."""

    IN_FORCE = "in_force"
    EXPIRED = "expired"  # it would still be needed
    STALE = "stale"  # nothing here needs it any more


@dataclass(frozen=True, slots=True)
class Scope:
    """What a decision is about: hosts by glob or group, and there the whole control or certain objects."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    objects: tuple[tuple[str, str], ...] = ()  # kind of an offender, glob of its name


@dataclass(frozen=True, slots=True)
class Waiver:
    """A decision to leave a failing control as it is, for a while. ``expires`` is its last day, in UTC."""

    id: str
    control: str  # slug
    scope: Scope
    reason: str
    owner: str
    approved_by: str
    ticket: str
    created: date
    expires: date
    compensating_control: str = ""


@dataclass(frozen=True, slots=True)
class Attestation:
    """A person's answer to a control that no machine can decide. ``expires`` is its last day, in UTC."""

    id: str
    control: str  # slug
    scope: Scope
    attested_by: str
    attested_on: date
    looked_at: str
    expires: date
    evidence: str = ""  # path of a file, as it is written in the file of attestations
    sha256: str = ""  # of that file


@dataclass(frozen=True, slots=True)
class AppliedWaiver:
    """A waiver on one host; ``offenders`` are those that it covers, none where it covers the control."""

    waiver: Waiver
    standing: Standing
    offenders: tuple[Offender, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedAttestation:
    """An attestation on one host; ``offenders`` are those that it answers for, none where for the control."""

    attestation: Attestation
    standing: Standing
    offenders: tuple[Offender, ...] = ()


@dataclass(frozen=True, slots=True)
class Decisions:
    """What people decided about controls, the day by which it counts, and the files as they were written.

    The day is in UTC. A file that there is none of is empty.
    """

    today: date
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    waivers_text: str = ""
    attestations_text: str = ""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files that there are, by what they hold."""
        texts = {"waivers": self.waivers_text, "attestations": self.attestations_text}
        return {what: sha256(text.encode()).hexdigest() for what, text in texts.items() if text}


@dataclass(frozen=True, slots=True)
class Finding:
    """A control's verdict on one host, as it stands in every report.

    Where a decision bears on it the verdict is what is left: without the offenders that are waived while
    others are not. The decision says which those are.
    """

    control: Control
    verdict: Verdict
    waivers: tuple[AppliedWaiver, ...] = ()
    attestations: tuple[AppliedAttestation, ...] = ()

    @property
    def status(self) -> Status:
        """The verdict's status."""
        return self.verdict.status

    @property
    def severity(self) -> Severity:
        """How severe it is: the control's own, unless the verdict says otherwise."""
        return self.verdict.severity or self.control.severity

    @property
    def waived(self) -> bool:
        """Whether a waiver is in force, for all of it or for some of its objects."""
        return any(each.standing is Standing.IN_FORCE for each in self.waivers)

    @property
    def attested(self) -> bool:
        """Whether it passes on a person's word."""
        return self.status is Status.PASS and any(
            each.standing is Standing.IN_FORCE for each in self.attestations
        )


@dataclass(frozen=True, slots=True)
class WorkloadRisk:
    """How far a running container is from least privilege: the riskiest of a host stand in reports."""

    container: str
    image: str
    level: Severity
    points: int
    why: tuple[str, ...]  # what counts most, each the rest of a sentence
    first: tuple[str, ...]  # what to do first


@dataclass(frozen=True, slots=True)
class Workloads:
    """The running containers of a host: how many there are of each level, and the riskiest of them."""

    levels: Mapping[str, int]
    riskiest: tuple[WorkloadRisk, ...]


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
    workloads: Workloads | None = None  # None where they could not be judged, or nobody looked

    def counts(self) -> Counter[Status]:
        """Number of findings by status."""
        return Counter(finding.status for finding in self.findings)

    def failing(self) -> tuple[Finding, ...]:
        """The findings that fail, in benchmark order."""
        return tuple(finding for finding in self.findings if finding.status is Status.FAIL)
