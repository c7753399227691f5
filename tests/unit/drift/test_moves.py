from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from hardener.drift import Kind, Move, moves
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
from tests.unit.reports.conftest import CONTROLS, assessment, gone


def verdict(status: Status, *names: str) -> Verdict:
    return Verdict(status, "it is so", f"{status}: {names}", tuple(Offender("file", n, "bad") for n in names))


def move(before: Verdict, after: Verdict) -> Move | None:
    """What becomes of one control."""
    one = CONTROLS[:1]
    found = list(
        moves(assessment(verdicts=[before], controls=one), assessment(verdicts=[after], controls=one))
    )
    return found[0] if found else None


@pytest.mark.parametrize(
    ("before", "after", "kind", "drift"),
    [
        (Status.PASS, Status.FAIL, Kind.BROKEN, True),
        (Status.NOT_APPLICABLE, Status.FAIL, Kind.BROKEN, True),
        (Status.WAIVED, Status.FAIL, Kind.BROKEN, True),
        (Status.ERROR, Status.FAIL, Kind.BROKEN, True),
        (Status.PASS, Status.ERROR, Kind.UNDECIDED, False),
        (Status.FAIL, Status.ERROR, Kind.UNDECIDED, False),
        (Status.PASS, Status.MANUAL, Kind.UNDECIDED, False),
        (Status.FAIL, Status.WAIVED, Kind.WAIVED, False),
        (Status.PASS, Status.WAIVED, Kind.WAIVED, False),
        (Status.FAIL, Status.PASS, Kind.FIXED, False),
        (Status.WAIVED, Status.PASS, Kind.FIXED, False),
        (Status.FAIL, Status.NOT_APPLICABLE, Kind.CHANGED, False),
        (Status.PASS, Status.NOT_APPLICABLE, Kind.CHANGED, False),
        (Status.ERROR, Status.PASS, Kind.CHANGED, False),
    ],
)
def test_what_becomes_of_a_control(before: Status, after: Status, kind: Kind, drift: bool) -> None:
    found = move(verdict(before), verdict(after))
    assert found
    assert (found.kind, found.is_drift) == (kind, drift)
    assert found.id == "1.1.3"


@pytest.mark.parametrize("status", list(Status))
def test_what_stands_as_it_stood_has_not_moved(status: Status) -> None:
    assert move(verdict(status, "a"), verdict(status, "a")) is None


def test_other_words_are_no_move() -> None:
    assert (
        move(verdict(Status.FAIL, "a"), Verdict(Status.FAIL, "x", "y", (Offender("file", "a", "z"),))) is None
    )
    assert move(verdict(Status.PASS), Verdict(Status.PASS, "x", "3 days old")) is None


def test_another_waiver_is_told_though_the_control_stands_as_it_stood() -> None:
    base = assessment(verdicts=[verdict(Status.WAIVED, "a")], controls=CONTROLS[:1])

    def waived(expires: date, standing: Standing = Standing.IN_FORCE) -> Assessment:
        waiver = Waiver("W-1", "s", Scope(), "why", "o", "a", "", date(2026, 1, 1), expires)
        finding = replace(base.findings[0], waivers=(AppliedWaiver(waiver, standing),))
        return replace(base, findings=(finding,))

    first, second = waived(date(2026, 12, 1)), waived(date(2027, 6, 1))
    assert not list(moves(first, first))
    [moved] = moves(first, second)
    assert (moved.kind, moved.is_drift) == (Kind.DECIDED, False)
    [moved] = moves(first, waived(date(2026, 12, 1), Standing.STALE))
    assert moved.kind is Kind.DECIDED


def test_one_more_offender_is_drift_and_one_less_is_none() -> None:
    worse = move(verdict(Status.FAIL, "a", "b"), verdict(Status.FAIL, "b", "c"))
    assert worse
    assert (worse.kind, worse.is_drift) == (Kind.WORSE, True)
    assert [each.name for each in worse.new] == ["c"]
    assert [each.name for each in worse.gone] == ["a"]
    less = move(verdict(Status.FAIL, "a", "b"), verdict(Status.FAIL, "b"))
    assert less
    assert (less.kind, less.is_drift) == (Kind.LESS, False)


def test_a_host_that_was_not_seen_did_not_move() -> None:
    assert not list(moves(assessment(), gone()))
    assert not list(moves(gone(), assessment()))


def test_controls_that_only_one_assessment_has_are_left_out() -> None:
    few = assessment(verdicts=[verdict(Status.PASS)], controls=CONTROLS[:1])
    assert [each.control.slug for each in moves(few, assessment())] == ["audit-dockerd"]
    assert [each.kind for each in moves(assessment(), few)] == [Kind.FIXED]
