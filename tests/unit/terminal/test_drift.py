from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from rich.console import Console

from hardener.comparison import ChangedFact, ContainerChange, Drift
from hardener.model import AppliedWaiver, Assessment, Scope, Standing, Status, Waiver
from hardener.terminal.console import console, show_drift
from hardener.workload.identity import Axis
from tests.unit.reports.assessments import (
    CONTROLS,
    VERDICTS,
    assessment,
    gone,
    hostile_assessment,
    hostile_text,
    statuses,
)

ALL_PASS = statuses(*[Status.PASS] * len(CONTROLS))
FACT = ChangedFact("files /etc/docker mode", "0755", "0777")


def shown(drift: Drift, width: int = 100) -> str:
    stream = io.StringIO()
    screen: Console = console(stream, width=width)
    show_drift(drift, screen, title="since audit 3f1c")
    return stream.getvalue()


def drifted(*pairs: tuple[Assessment | None, Assessment]) -> Drift:
    drift = Drift()
    for before, after in pairs:
        drift.add(before, after, lambda slug: (FACT,))
    return drift


def test_each_change_shows_the_finding_before_and_after() -> None:
    text = shown(drifted((assessment("db01", ALL_PASS), assessment("db01"))))
    assert "1 host compared: 2 broken, 2 no longer decided, 1 waived, 1 changed otherwise, " in text
    assert "Broken (2)" in text
    assert "1.1.3   The title of audit-dockerd  audit-dockerd" in text
    assert "before pass: it is pass" in text
    assert "after  fail: no rule" in text
    assert "fact   files /etc/docker mode: 0755 → 0777" in text


def test_a_change_on_many_hosts_is_shown_once() -> None:
    pairs = [(assessment(f"h{n}", ALL_PASS), assessment(f"h{n}")) for n in range(12)]
    text = shown(drifted(*pairs))
    assert "Broken (24)" in text
    assert "h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, +2 more" in text
    assert text.count("audit-dockerd") == 2


def test_hosts_that_were_not_compared_are_named() -> None:
    text = shown(drifted((None, assessment("new")), (assessment("a"), gone("a"))))
    assert "Not compared (2)" in text
    assert "new: was not assessed before" in text


def test_the_waiver_behind_a_change_is_shown() -> None:
    before = assessment("a", VERDICTS)
    waiver = Waiver(
        "W-1", "audit-dockerd", Scope(), "a proxy", "team-x", "boss", "", date(2026, 1, 1), date(2027, 1, 31)
    )
    accepted = replace(
        before.findings[0],
        verdict=replace(VERDICTS[0], status=Status.WAIVED),
        waivers=(AppliedWaiver(waiver, Standing.IN_FORCE),),
    )
    text = shown(drifted((before, replace(before, findings=(accepted, *before.findings[1:])))))
    assert "Waived (1)" in text
    assert "waived until 2027-01-31 [W-1 by team-x]: a proxy" in text


def test_containers_whose_identity_changed_are_listed() -> None:
    axes = (
        Axis(name="image digest", before="sha256:aa", after="sha256:bb"),
        Axis(name="environment", before=["A"], after=["A", "B"]),
    )
    kernel = ContainerChange("", (Axis(name="kernel series", before="6.12", after="6.18"),), ("web",))
    drift = Drift()
    for host in ("a", "b"):
        drift.add(
            assessment(host), assessment(host), containers=(ContainerChange("web", axes, ("web",)), kernel)
        )
    text = shown(drift)
    assert "Containers whose identity changed (4)" in text
    assert "!  web  a, b " in text
    assert "image digest: sha256:aa → sha256:bb" in text
    assert "environment: nothing → B" in text
    assert "its own seccomp profile was made for the earlier identity: record the container again" in text
    assert "!  all containers  a, b " in text
    assert "kernel series: 6.12 → 6.18" in text
    assert (
        "the custom seccomp profile of web was made for the earlier identity: record the container again"
        in text
    )


def test_a_comparison_without_changes_is_shown() -> None:
    text = shown(drifted((assessment(), assessment())))
    assert text.split("\n", 2)[2].strip() == "1 host compared: 7 unchanged (2 of them failing)"


@given(hostile_text)
@settings(max_examples=30)
def test_untrusted_text_is_escaped(name: str) -> None:
    hostile = hostile_assessment(name)
    before = assessment(name, statuses(*[Status.PASS] * 6), controls=CONTROLS[:6])
    drift = Drift()
    axis = Axis(name="user", before=name, after=f"{name}.")
    changed = (ContainerChange(name, (axis,), (name,)), ContainerChange("", (axis,), (name,)))
    drift.add(before, hostile, lambda slug: (ChangedFact(name, name, name),), changed)
    assert all(character.isprintable() or character == "\n" for character in shown(drift))
