"""Assessments made by hand: every status, several sections, an unreachable host. No catalogue needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hardener.assess import unreachable
from hardener.comparison.previous_runs import Point, PreviousRuns
from hardener.decisions.apply import Place, decider
from hardener.model import (
    AppliedAttestation,
    AppliedWaiver,
    Assessment,
    Attestation,
    BenchmarkRef,
    Control,
    Decisions,
    Finding,
    FrameworkMapping,
    Impact,
    Offender,
    Remediation,
    Scope,
    Severity,
    Standing,
    Status,
    Verdict,
    Waiver,
    WorkloadRisk,
    Workloads,
)
from hardener.run import RunInfo
from hardener.text import scalar

BENCHMARK = "cis-docker-1.8.0"
FACTS = {"os": "Debian GNU/Linux 13 (trixie)", "kernel": "6.12.48+deb13-amd64", "docker": "26.1.5"}
Write = Callable[..., Path]
Written = Callable[..., str]


# What attackers, accidents and careless tools put into names and labels.
HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "\x9b31m",
    "\x00",
    "\x7f",
    "\r\n",
    "\roverwritten",
    "\u202egnp.exe",
    "\u2066\u2069",
    "\u200b\ufeff",
    "\u2028\u2029\x85",
    "\ud800",
    "\udfff\ud83d",
    "\ufffe\uffff\U0001ffff",
    "]]>",
    "<script>alert(1)</script>",
    "&amp;&#0;",
    "\"' onload='x",
    "[bold]markup[/bold]",
    "[/]",
    "[link=http://evil.example]x[/link]",
    ":skull:",
    "[[ATTACHMENT|/etc/passwd]]",
    "e\u0301\u0301\u0301",
    "漢字",
    "A" * 5000,
)
# What means something to the readers of a format.
ATTACKS = {
    "csv": ("=1+1", ";=1+1", '";"=1+1', "x\n-2", '";=1;"'),
    "html": (
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "'\"><img src=x onerror=alert(1)>",
        "{{ 7*7 }}{% raw %}",
        "\u202e\x1b[31m\ud800",
    ),
    "markdown": (
        "@all",
        "`@all`",
        "``` @all",
        "</details><img src=x onerror=alert(1)>",
        "\n/close\n",
        "![x](http://evil.example)",
        "| a | b |",
        "\\`",
        "#1 !2 ~bug %9 $`x`$",
    ),
}
hostile_text = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=12), max_size=6
).map("".join)


def control(
    slug: str,
    identifier: str,
    section: str,
    *,
    title: str = "",
    severity: Severity = Severity.MEDIUM,
    role: str = "",
) -> Control:
    return Control(
        slug=slug,
        section=section,
        title=title or f"The title of {slug}",
        severity=severity,
        rationale="Because.",
        decision="The effective value.",
        fix=f"Set it for {slug}.",
        remediation=Remediation(role, f"{role}_{slug}", Impact.DAEMON_RESTART) if role else None,
        mappings=(FrameworkMapping("cis-controls-v8", ("4.1", "4.8"), "benchmark"),),
        benchmarks={BENCHMARK: BenchmarkRef(identifier, 1, "automated")},
    )


CONTROLS = (
    control("audit-dockerd", "1.1.3", "host", severity=Severity.HIGH, role="audit_rules"),
    control("audit-etc-docker", "1.1.10", "host"),
    control("daemon-icc", "2.2", "daemon", role="docker_daemon"),
    control("container-not-privileged", "5.5", "runtime", severity=Severity.CRITICAL),
    control("container-pids", "5.29", "runtime", severity=Severity.LOW),
    control("image-user", "4.1", "images"),
    control("host-lsm", "H.7", "protection", severity=Severity.HIGH),
)

PRIVILEGED = tuple(Offender("container", f"web{n}", "runs privileged") for n in range(4))

VERDICTS = (
    Verdict(Status.FAIL, "a rule for /usr/bin/dockerd", "no rule", evidence=("auditctl -l: 0 rules",)),
    Verdict(Status.PASS, "a rule for /etc/docker", "-w /etc/docker -p wa", checked=1),
    Verdict(Status.WAIVED, "icc is false", "icc is true", (Offender("network", "bridge", "icc"),)),
    Verdict(Status.FAIL, "no privileged container", "privileged containers", PRIVILEGED, ("web0: true",), 9),
    Verdict(Status.NOT_APPLICABLE, "a process limit everywhere", "no container runs"),
    Verdict(Status.MANUAL, "images are trusted", "2 images", (), ("look at nginx:1", "look at redis:7"), 2),
    Verdict(Status.ERROR, "the facts can be read", "lsm could not be read: permission denied"),
)


def waiver(identifier: str, control: str, expires: str, **changed: Any) -> Waiver:
    one = Waiver(
        id=identifier,
        control=control,
        scope=Scope(("*",)),
        reason="The vendor's agent needs it.",
        owner="team-x",
        approved_by="J. Doe",
        ticket="SEC-1",
        created=date(2026, 9, 1),
        expires=date.fromisoformat(expires),
    )
    return replace(one, **changed)


def attestation(identifier: str, control: str, expires: str, **changed: Any) -> Attestation:
    one = Attestation(
        id=identifier,
        control=control,
        scope=Scope(("*",)),
        attested_by="J. Doe",
        attested_on=date(2026, 9, 1),
        looked_at="Every Dockerfile.",
        expires=date.fromisoformat(expires),
        evidence="images.pdf",
        sha256="9f" * 32,
    )
    return replace(one, **changed)


DECISIONS = Decisions(
    today=date(2026, 11, 25),
    waivers=(
        waiver("W-001", "audit-dockerd", "2027-01-31", compensating_control="The SIEM."),
        waiver("W-002", "audit-etc-docker", "2027-01-31"),  # stale: it passes
        waiver("W-003", "daemon-icc", "2026-10-01", scope=Scope(("db01",))),
        waiver(
            "W-004",
            "container-not-privileged",
            "2026-12-01",
            scope=Scope(("db*",), objects=(("container", "web[01]"),)),
        ),
        waiver("W-005", "host-lsm", "2026-11-25"),  # the last day
    ),
    attestations=(
        attestation("A-001", "image-user", "2027-02-01"),
        attestation("A-002", "daemon-icc", "2026-11-01"),
    ),
    waivers_text="waivers: …\n",
    attestations_text="attestations: …\n",
)


def decided(host: str = "db01") -> Assessment:
    """A host about which people decided something: all, some and nothing of a failure, and one by hand."""
    fails = Verdict(Status.FAIL, "icc is false", "icc is true", (Offender("network", "bridge", "icc"),))
    verdicts = (*VERDICTS[:2], fails, *VERDICTS[3:6], Verdict(Status.FAIL, "an LSM confines", "none does"))
    decide = decider(DECISIONS, Place(host))
    findings = tuple(decide(*pair) for pair in zip(CONTROLS, verdicts, strict=True))
    return replace(assessment(host), findings=findings)


def assessment(
    host: str = "db01.example.com",
    verdicts: Sequence[Verdict] = VERDICTS,
    *,
    controls: Sequence[Control] = CONTROLS,
    collected_at: str = "2026-11-25T00:30:00Z",
) -> Assessment:
    findings = tuple(Finding(*pair) for pair in zip(controls, verdicts, strict=True))
    return Assessment(host, BENCHMARK, collected_at, findings, facts=FACTS, groups=("database", "production"))


def statuses(*wanted: Status) -> tuple[Verdict, ...]:
    return tuple(Verdict(status, "it is so", f"it is {status}") for status in wanted)


def gone(host: str = "web_1", *, reason: str = "ssh: connection refused") -> Assessment:
    return unreachable(host, reason, CONTROLS, benchmark=BENCHMARK, groups=("production", "web"))


def hostile_assessment(text: str) -> Assessment:
    """A host on which everything that a stranger can choose is this text."""
    verdicts = [
        Verdict(status, text, text, (Offender(text, text, text),) * 30, (text,) * 3, 40) for status in Status
    ]
    base = assessment(text, verdicts, controls=CONTROLS[: len(verdicts)], collected_at=text)
    about = (Offender(text, text, text),)
    scope = Scope(("*",), objects=(("container", "*"),))
    said = attestation("A-1", "x", "2027-01-01", scope=scope, looked_at=text, attested_by=text, evidence=text)
    left = waiver(
        "W-1", "x", "2027-01-01", scope=scope, reason=text, owner=text, approved_by=text, ticket=text
    )
    findings = tuple(
        replace(
            finding,
            waivers=tuple(AppliedWaiver(left, standing, about) for standing in Standing),
            attestations=tuple(AppliedAttestation(said, standing, about) for standing in Standing),
        )
        for finding in base.findings
    )
    risk = WorkloadRisk(text, text, Severity.CRITICAL, 100, (text,) * 3, (text,) * 3)
    return Assessment(
        text,
        BENCHMARK,
        text,
        findings,
        facts={"os": text, "docker": text, text: text},
        workloads=Workloads({"critical": 1}, (risk,)),
        groups=(text, f"{text} too"),
        not_begun=text or "no reason",
        change_failed=text or "no reason",
    )


def earlier(run: RunInfo, *hosts: Assessment) -> PreviousRuns:
    """Two runs before this one; the later had these hosts."""
    points = [
        Point("one", run.ended - timedelta(days=2), 1, 0, {Status.FAIL: 5}),
        Point("two", run.ended - timedelta(days=1), 1, 0, {Status.FAIL: 3}),
    ]
    return PreviousRuns(
        tuple(points), frozenset(scalar(each.host) for each in hosts), {e.host: e for e in hosts}.get
    )
