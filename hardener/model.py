"""The data types of the domain: control, verdict, waiver, attestation, finding, assessment.

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
    """The result of a control on one host. Each control of a benchmark has exactly one."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    MANUAL = "manual"
    NOT_APPLICABLE = "not_applicable"
    WAIVED = "waived"
    ERROR = "error"


# The statuses of open findings: a control is fixed only when it passes.
NOT_HELD = (Status.FAIL, Status.WAIVED, Status.ERROR)


class Severity(StrEnum):
    """The damage that a failing control can cause: from ``low`` (hygiene) to ``critical`` (host lost)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    def is_at_least(self, other: Severity) -> bool:
        """Return whether this is as severe as another, or more."""
        every = tuple(Severity)
        return every.index(self) <= every.index(other)


class Impact(StrEnum):
    """The cost of remediating a control on a running host, cheapest first."""

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
    """The role and its variable that remediate a control, and the impact of the remediation.

    With ``needs_default``, any other value of the variable than the role's default makes the control fail.
    """

    role: str
    variable: str
    impact: Impact
    needs_default: bool = False


@dataclass(frozen=True, slots=True)
class FrameworkMapping:
    """The requirements of one framework that a control serves, and the source of that mapping."""

    framework: str  # "cis-controls-v8" | "nist-800-190" | "nist-800-53r5" | "pci-dss-4.0"
    requirements: tuple[str, ...]
    source: str  # "benchmark" or "judgement" (this project's)


@dataclass(frozen=True, slots=True)
class BenchmarkRef:
    """A control's id, level and assessment (automated or manual) in one benchmark version."""

    id: str
    level: int
    assessment: str  # "automated" | "manual", as the benchmark marks it


@dataclass(frozen=True, slots=True)
class Control:
    """One requirement on a host, described in our own words."""

    slug: str
    section: str
    title: str
    severity: Severity
    rationale: str
    decision: str  # the fact that decides the control
    fix: str  # manual remediation
    remediation: Remediation | None
    mappings: tuple[FrameworkMapping, ...]
    benchmarks: Mapping[str, BenchmarkRef]  # benchmark name, e.g. "cis-docker-1.8.0" -> place
    unseen: str = ""  # limits of the decision
    failing: str = ""  # what is wrong where the control fails; the title says what is right

    def title_if(self, status: Status) -> str:
        """Return the text that names the control beside a status: what is wrong if it fails or is waived."""
        return (self.failing if status in (Status.FAIL, Status.WAIVED) else "") or self.title

    def id_in(self, benchmark: str) -> str:
        """Return the control's id in a benchmark version; its slug where the benchmark has no id for it."""
        place = self.benchmarks.get(benchmark)
        return place.id if place else self.slug

    def section_in(self, benchmark: str) -> str:
        """Return number and name of the control's section: ``5 runtime``; ``--only`` takes the name."""
        place = self.benchmarks.get(benchmark)
        return f"{place.id.partition('.')[0]} {self.section}" if place else self.section


@dataclass(frozen=True, slots=True)
class Offender:
    """One object for which a control fails."""

    kind: str  # "container" | "image" | "file" | "network" | "setting" | "rule" | "package" | ...
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """The verdict that applies if all offenders are waived: an error, or a question for a person."""

    status: Status
    actual: str
    offenders: tuple[Offender, ...] = ()  # the objects about which a person has to decide


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check for one host.

    ``expected`` and ``actual`` are one line each, complete in itself. ``evidence`` lists the facts behind the
    verdict; for ``MANUAL`` these are the facts that a person has to judge. ``checked`` is the number of
    checked objects, for "2 of 7 containers". ``undecided`` decides the status if every offender is waived.
    ``severity`` replaces that of the control.
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
    """The effect of a waiver or an attestation on one host."""

    IN_FORCE = "in_force"
    EXPIRED = "expired"  # expired, and the control still fails
    STALE = "stale"  # without effect: no finding on this host needs it


@dataclass(frozen=True, slots=True)
class Scope:
    """The hosts of a waiver or an attestation (by glob or group), and the objects to which it is limited."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    objects: tuple[tuple[str, str], ...] = ()  # kind of an offender, and a glob of its name


@dataclass(frozen=True, slots=True)
class Waiver:
    """A decision to accept a failing control for some time. ``expires`` is its last day, in UTC."""

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
    """A person's answer to a manual control. ``expires`` is its last day, in UTC."""

    id: str
    control: str  # slug
    scope: Scope
    attested_by: str
    attested_on: date
    looked_at: str
    expires: date
    evidence: str = ""  # path of an evidence file, as the file of attestations has it
    sha256: str = ""  # SHA-256 of the evidence file


@dataclass(frozen=True, slots=True)
class AppliedWaiver:
    """A waiver on one host; ``offenders`` has the covered offenders, and is empty for the whole control."""

    waiver: Waiver
    standing: Standing
    offenders: tuple[Offender, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedAttestation:
    """An attestation on one host; ``offenders`` has the covered offenders, empty for the whole control."""

    attestation: Attestation
    standing: Standing
    offenders: tuple[Offender, ...] = ()


@dataclass(frozen=True, slots=True)
class Decisions:
    """The waivers and attestations, the day for which they are applied, and the content of the given files.

    The day is in UTC. The content of a missing file is empty.
    """

    today: date
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    waivers_text: str = ""
    attestations_text: str = ""
    releases_text: str = ""  # what is known of releases, in place of hardener's own file

    @property
    def texts(self) -> dict[str, str]:
        """Return the content of each file that exists."""
        texts = {"waivers": self.waivers_text, "attestations": self.attestations_text}
        return {what: text for what, text in (*texts.items(), ("releases", self.releases_text)) if text}

    @property
    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file that exists."""
        return {what: sha256(text.encode()).hexdigest() for what, text in self.texts.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """A control's verdict on one host after waivers and attestations, as reports show it.

    The verdict has no offenders that are waived while others are not; the applied waiver lists them.
    """

    control: Control
    verdict: Verdict
    waivers: tuple[AppliedWaiver, ...] = ()
    attestations: tuple[AppliedAttestation, ...] = ()

    @property
    def status(self) -> Status:
        """Return the status of the verdict."""
        return self.verdict.status

    @property
    def severity(self) -> Severity:
        """Return the severity of the verdict, or of the control if the verdict has none."""
        return self.verdict.severity or self.control.severity

    @property
    def waived(self) -> bool:
        """Return whether a waiver in force covers the control or some of its objects."""
        return any(each.standing is Standing.IN_FORCE for each in self.waivers)

    @property
    def attested(self) -> bool:
        """Return whether the control passes because of an attestation."""
        return self.status is Status.PASS and any(
            each.standing is Standing.IN_FORCE for each in self.attestations
        )


@dataclass(frozen=True, slots=True)
class WorkloadRisk:
    """The distance of one container from least privilege; reports show the riskiest containers of a host."""

    container: str
    image: str
    level: Severity
    points: int
    why: tuple[str, ...]  # the main reasons, each a sentence without its subject
    first: tuple[str, ...]  # the first recommendations


@dataclass(frozen=True, slots=True)
class Workloads:
    """The running containers of a host: the number at each level of risk, and the riskiest ones."""

    levels: Mapping[str, int]
    riskiest: tuple[WorkloadRisk, ...]


@dataclass(frozen=True, slots=True)
class AppliedWish:
    """Variables of an inventory that a run has applied on a host."""

    inventory: str
    role: str
    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoleWishes:
    """The variables that a site sets for one role, compared with a host."""

    role: str
    left: tuple[str, ...] = ()  # applied once, and the host no longer has their values
    pending: tuple[str, ...] = ()  # not applied yet
    unknown: str = ""  # the reason why they could not be compared


@dataclass(frozen=True, slots=True)
class Assessment:
    """The findings of one host: one for each control of a benchmark.

    A host that could not be reached has an ``unreachable`` reason and the same number of findings as any
    other, each of them an error. ``not_begun`` is why the run of this audit did not begin to change the host,
    ``change_failed`` why its change failed, was refused or was rolled back. ``wishes`` is empty where none
    were compared.
    """

    host: str
    benchmark: str
    collected_at: str  # RFC 3339, UTC; empty where no facts were collected
    findings: tuple[Finding, ...]
    unreachable: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)  # for headings: os, docker, kernel
    workloads: Workloads | None = None  # None where they were not audited or could not be judged
    groups: tuple[str, ...] = ()  # of the inventory, by name; empty where no inventory was used
    not_begun: str = ""  # empty where the host was changed, or there was nothing to change
    change_failed: str = ""
    wishes: tuple[RoleWishes, ...] = ()  # sorted by role

    def counts(self) -> Counter[Status]:
        """Return the number of findings by status."""
        return Counter(finding.status for finding in self.findings)

    def failing(self) -> tuple[Finding, ...]:
        """Return the failing findings in benchmark order."""
        return tuple(finding for finding in self.findings if finding.status is Status.FAIL)
