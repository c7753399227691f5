from __future__ import annotations

import dataclasses
import io
from dataclasses import replace
from typing import Any

from hardener.comparison import ChangedFact, ChangeKind, Drift
from hardener.comparison.document import DocumentLimits, drift_document
from hardener.model import Severity, Status
from hardener.terminal.console import console, show_drift
from tests.unit.reports.assessments import CONTROLS, VERDICTS, assessment, decided, gone, statuses
from tests.unit.variants import variants

ALL_PASS = statuses(*[Status.PASS] * len(CONTROLS))
FACT = ChangedFact("files /etc mode", "0644", "0666")


def test_equal_assessments_have_no_changes() -> None:
    drift = Drift()
    drift.add(assessment(), assessment())
    assert (drift.is_drift, drift.is_complete, drift.changes()) == (False, True, [])
    assert drift.unchanged.total() == len(CONTROLS)
    assert drift.unchanged[Status.FAIL] == 2


def test_equal_changes_are_grouped_with_their_hosts() -> None:
    drift = Drift()
    for host in ("a", "b"):
        drift.add(assessment(host, ALL_PASS), assessment(host), lambda slug: (FACT,))
    drift.add(
        assessment("c", ALL_PASS), assessment("c"), lambda slug: (dataclasses.replace(FACT, after="0777"),)
    )
    broken = [each for each in drift.changes() if each.change.control.slug == "audit-dockerd"]
    assert [(each.hosts, each.change.facts[0].after) for each in broken] == [
        (["a", "b"], "0666"),
        (["c"], "0777"),
    ]
    assert drift.kinds[ChangeKind.BROKEN] == 6
    assert drift.drifted == {host: {"audit-dockerd", "container-not-privileged"} for host in "abc"}


def entries(drift: Drift, host: str) -> list[dict[str, Any]]:
    """What is shown of the changes of a host, without the hosts that share them."""
    found = drift_document(drift, DocumentLimits())["moved"]
    mine = [{**each, "hosts": None} for each in found if host in each["hosts"]]
    return sorted(mine, key=lambda each: str(each["control"]))


def said(drift: Drift) -> set[str]:
    """The lines of the screen that describe a change, without the lines that name hosts or count."""
    stream = io.StringIO()
    show_drift(drift, console(stream, width=1000), title="", files={})
    labels = ("before ", "after ", "new ", "gone ", "fact ")
    return {each.strip() for each in stream.getvalue().splitlines() if each.strip().startswith(labels)}


def test_hosts_share_a_change_only_if_all_that_is_shown_of_it_is_equal() -> None:
    severe = [
        replace(each, verdict=replace(each.verdict, severity=Severity.MEDIUM))
        for each in decided("a").findings
    ]
    after, before = replace(decided("a"), findings=tuple(severe)), assessment("a", ALL_PASS)
    parts = [
        (f"{side}{number}{place}", side, number, changed)
        for side, source in (("before", before), ("after", after))
        for number, finding in enumerate(source.findings)
        for place, changed in variants(finding)
        if ".control" not in place
    ]
    of_a, apart = Drift(), set()
    of_a.add(before, after)
    said_of_a = said(of_a)
    for place, side, number, changed in parts:
        pair = {"before": before, "after": after}
        findings = (*pair[side].findings[:number], changed, *pair[side].findings[number + 1 :])
        pair[side] = replace(pair[side], findings=findings)
        both, of_b = Drift(), Drift()
        both.add(before, after)
        for drift in (both, of_b):
            drift.add(replace(pair["before"], host="b"), replace(pair["after"], host="b"))
        for host, drift in (("a", of_a), ("b", of_b)):
            assert entries(both, host) == entries(drift, host), place
        assert said(both) == said_of_a | said(of_b), place
        if len(both.changes()) > len(of_a.changes()):
            apart.add(place.partition(".")[2])
    assert {"verdict.status", "verdict.actual", "verdict.severity"} <= apart
    assert "verdict.expected" not in apart, "what is not shown does not part hosts"


def test_the_most_severe_change_comes_first() -> None:
    drift = Drift()
    drift.add(assessment("a", ALL_PASS), assessment("a"))
    drift.add(assessment("b"), assessment("b", ALL_PASS))
    order = [(each.change.kind, each.change.control.severity) for each in drift.changes()]
    assert order[:2] == [(ChangeKind.BROKEN, Severity.CRITICAL), (ChangeKind.BROKEN, Severity.HIGH)]
    assert [kind for kind, _ in order] == sorted((kind for kind, _ in order), key=list(ChangeKind).index)


def test_hosts_that_cannot_be_compared_make_the_drift_incomplete() -> None:
    drift = Drift()
    drift.add(None, assessment("new"))
    drift.add(assessment("a"), gone("a"))
    drift.add(gone("b"), assessment("b"))
    drift.miss("c")
    assert drift.not_compared == [
        ("new", "was not assessed before"),
        ("a", "was not audited: ssh: connection refused"),
        ("b", "was not audited before: ssh: connection refused"),
        ("c", "was not assessed this time"),
    ]
    assert (drift.hosts, drift.is_drift, drift.is_complete) == (0, False, False)


def test_controls_that_became_an_error_make_the_drift_incomplete() -> None:
    drift = Drift()
    after = [*ALL_PASS[:-1], VERDICTS[-1]]
    drift.add(assessment("a", ALL_PASS), assessment("a", after))
    assert (drift.is_drift, drift.is_complete) == (False, False)


def test_controls_of_only_one_run_are_listed_and_not_compared() -> None:
    drift = Drift()
    few = assessment(verdicts=ALL_PASS[:2], controls=CONTROLS[:2])
    drift.add(few, assessment(verdicts=ALL_PASS))
    assert drift.controls == {control.slug for control in CONTROLS[2:]}
    assert drift.unchanged == {Status.PASS: 2}
