from __future__ import annotations

import dataclasses

from hardener.comparison import ChangedFact, ChangeKind, Drift
from hardener.model import Severity, Status
from tests.unit.reports.assessments import CONTROLS, VERDICTS, assessment, gone, statuses

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
