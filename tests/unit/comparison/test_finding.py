from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from hardener.comparison import ChangeKind, Drift, FindingChange, change_kind, finding_changes
from hardener.comparison.finding import CHANGES
from hardener.comparison.previous_runs import Point, PreviousRuns, Since
from hardener.comparison.runs import compare
from hardener.model import (
    AppliedWaiver,
    Assessment,
    Offender,
    Scope,
    Standing,
    Status,
    Verdict,
    Waiver,
)
from tests.unit.reports.assessments import CONTROLS, assessment, gone

DAY = datetime(2026, 11, 24, tzinfo=UTC)


def verdict(status: Status, *names: str) -> Verdict:
    return Verdict(status, "it is so", f"{status}: {names}", tuple(Offender("file", n, "bad") for n in names))


def move(before: Verdict, after: Verdict) -> FindingChange | None:
    """What becomes of one control."""
    one = CONTROLS[:1]
    found = list(
        finding_changes(
            assessment(verdicts=[before], controls=one), assessment(verdicts=[after], controls=one)
        )
    )
    return found[0] if found else None


@pytest.mark.parametrize(
    ("before", "after", "kind", "drift"),
    [
        (Status.PASS, Status.FAIL, ChangeKind.BROKEN, True),
        (Status.NOT_APPLICABLE, Status.FAIL, ChangeKind.APPLIES, True),
        (Status.WAIVED, Status.FAIL, ChangeKind.BROKEN, True),
        (Status.ERROR, Status.FAIL, ChangeKind.BROKEN, True),
        (Status.PASS, Status.ERROR, ChangeKind.UNDECIDED, False),
        (Status.FAIL, Status.ERROR, ChangeKind.UNDECIDED, False),
        (Status.PASS, Status.MANUAL, ChangeKind.UNDECIDED, False),
        (Status.FAIL, Status.WAIVED, ChangeKind.WAIVED, False),
        (Status.PASS, Status.WAIVED, ChangeKind.WAIVED, False),
        (Status.FAIL, Status.PASS, ChangeKind.FIXED, False),
        (Status.WAIVED, Status.PASS, ChangeKind.FIXED, False),
        (Status.FAIL, Status.NOT_APPLICABLE, ChangeKind.CHANGED, False),
        (Status.PASS, Status.NOT_APPLICABLE, ChangeKind.CHANGED, False),
        (Status.ERROR, Status.PASS, ChangeKind.CHANGED, False),
        (Status.MANUAL, Status.PASS, ChangeKind.CHANGED, False),
        (Status.MANUAL, Status.FAIL, ChangeKind.BROKEN, True),
    ],
)
def test_each_change_of_status_has_its_kind(
    before: Status, after: Status, kind: ChangeKind, drift: bool
) -> None:
    found = move(verdict(before), verdict(after))
    assert found
    assert (found.kind, found.kind.is_drift) == (kind, drift)
    assert found.id == "1.1.3"


def test_only_a_control_that_failed_can_be_fixed() -> None:
    fixed = {
        (before, after)
        for before, after in itertools.permutations(Status, 2)
        if (found := move(verdict(before), verdict(after))) and found.kind is ChangeKind.FIXED
    }
    assert fixed == {(Status.FAIL, Status.PASS), (Status.WAIVED, Status.PASS)}


@pytest.mark.parametrize("status", list(Status))
def test_an_equal_finding_is_not_a_change(status: Status) -> None:
    assert move(verdict(status, "a"), verdict(status, "a")) is None


def test_a_finding_with_only_a_different_text_is_unchanged() -> None:
    assert (
        move(verdict(Status.FAIL, "a"), Verdict(Status.FAIL, "x", "y", (Offender("file", "a", "z"),))) is None
    )
    assert move(verdict(Status.PASS), Verdict(Status.PASS, "x", "3 days old")) is None


def test_a_changed_waiver_is_reported_as_a_change_of_the_decision() -> None:
    base = assessment(verdicts=[verdict(Status.WAIVED, "a")], controls=CONTROLS[:1])

    def waived(expires: date, standing: Standing = Standing.IN_FORCE) -> Assessment:
        waiver = Waiver("W-1", "s", Scope(), "why", "o", "a", "", date(2026, 1, 1), expires)
        finding = replace(base.findings[0], waivers=(AppliedWaiver(waiver, standing),))
        return replace(base, findings=(finding,))

    first, second = waived(date(2026, 12, 1)), waived(date(2027, 6, 1))
    assert not list(finding_changes(first, first))
    [moved] = finding_changes(first, second)
    assert (moved.kind, moved.kind.is_drift) == (ChangeKind.DECIDED, False)
    [moved] = finding_changes(first, waived(date(2026, 12, 1), Standing.STALE))
    assert moved.kind is ChangeKind.DECIDED


def test_an_additional_offender_is_drift_and_a_removed_one_is_not() -> None:
    worse = move(verdict(Status.FAIL, "a", "b"), verdict(Status.FAIL, "b", "c"))
    assert worse
    assert (worse.kind, worse.kind.is_drift) == (ChangeKind.WORSE, True)
    assert [each.name for each in worse.new] == ["c"]
    assert [each.name for each in worse.gone] == ["a"]
    less = move(verdict(Status.FAIL, "a", "b"), verdict(Status.FAIL, "b"))
    assert less
    assert (less.kind, less.kind.is_drift) == (ChangeKind.LESS, False)


def test_an_additional_object_for_a_person_to_decide_is_drift_and_a_removed_one_is_no_change() -> None:
    more = move(verdict(Status.MANUAL, "alice"), verdict(Status.MANUAL, "alice", "mallory"))
    assert more
    assert (more.kind, more.kind.is_drift) == (ChangeKind.QUESTION, True)
    assert [each.name for each in more.new] == ["mallory"]
    assert move(verdict(Status.MANUAL, "alice", "bob"), verdict(Status.MANUAL, "alice")) is None
    assert move(verdict(Status.MANUAL, "alice"), verdict(Status.MANUAL, "alice")) is None


def test_an_unreachable_host_has_no_changes() -> None:
    assert not list(finding_changes(assessment(), gone()))
    assert not list(finding_changes(gone(), assessment()))


def test_controls_that_only_one_assessment_has_are_left_out() -> None:
    few = assessment(verdicts=[verdict(Status.PASS)], controls=CONTROLS[:1])
    assert [each.control.slug for each in finding_changes(few, assessment())] == ["audit-dockerd"]
    assert [each.kind for each in finding_changes(assessment(), few)] == [ChangeKind.FIXED]


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
@pytest.mark.parametrize(("earlier", "later"), [("", ""), ("a", "a"), ("a", "ab"), ("ab", "a"), ("a", "b")])
def test_all_comparisons_classify_a_pair_of_findings_equally(
    before: Status, after: Status, earlier: str, later: str
) -> None:
    """The comparison of two runs, that with the previous run, and drift tell the same story."""
    one = CONTROLS[:1]
    old, new = (
        assessment(verdicts=[verdict(status, *names)], controls=one)
        for status, names in ((before, earlier), (after, later))
    )
    kind = change_kind(old.findings[0], new.findings[0])
    changed = [kind] if kind in CHANGES else []
    drift = Drift()
    drift.add(old, new)
    since = Since(PreviousRuns((Point("r", DAY, 1, 0, {}),), frozenset({old.host}), lambda _: old))
    assert [each.kind for each in finding_changes(old, new)] == changed
    assert [each.change.kind for each in drift.changes()] == changed
    assert [each.kind for each in since.add(new)] == changed
    assert compare([old], [new]).kinds == {kind: 1}
    assert drift.is_drift == kind.is_drift
    # A change of the status is always listed, and a control that passes is never drift.
    assert (before is after) <= (kind not in (ChangeKind.BROKEN, ChangeKind.FIXED, ChangeKind.CHANGED))
    assert (before is not after) <= bool(changed)
    assert kind.is_drift <= (after is Status.FAIL or (before is after is Status.MANUAL))
