from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hardener.comparison import ChangeKind
from hardener.comparison.previous_runs import Point, PreviousRuns, Since
from hardener.model import Assessment, Status
from tests.unit.reports.assessments import CONTROLS, assessment, gone, statuses

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MANY = (Status.PASS, Status.FAIL, Status.PASS, Status.FAIL, Status.MANUAL, Status.ERROR, Status.PASS)


def since(*before: Assessment) -> Since:
    point = Point("earlier", NOW, len(before), 0, {})
    hosts = {each.host: each for each in before}
    return Since(PreviousRuns((point,), frozenset(hosts), hosts.get))


def test_only_changed_statuses_are_reported() -> None:
    now = (Status.FAIL, Status.PASS, Status.ERROR, Status.FAIL, Status.WAIVED, Status.ERROR, Status.PASS)
    compared = since(assessment("db01", statuses(*MANY)))
    moves = compared.add(assessment("db01", statuses(*now)))
    assert [(move.slug, move.kind) for move in moves] == [
        (CONTROLS[0].slug, ChangeKind.BROKEN),
        (CONTROLS[1].slug, ChangeKind.FIXED),
        (CONTROLS[2].slug, ChangeKind.UNDECIDED),
        (CONTROLS[4].slug, ChangeKind.WAIVED),
    ]
    assert [move.before.status for move in moves] == [MANY[0], MANY[1], MANY[2], MANY[4]]
    assert compared.counts[ChangeKind.STILL_FAILING] == 1
    assert [change.kind for change in compared.changes()] == [
        ChangeKind.BROKEN,
        ChangeKind.UNDECIDED,
        ChangeKind.WAIVED,
        ChangeKind.FIXED,
    ]


def test_an_equal_run_has_no_changes() -> None:
    compared = since(assessment())
    assert compared.add(assessment()) == []
    assert list(compared.changes()) == []
    assert list(compared.totals()) == [(ChangeKind.BROKEN, 0), (ChangeKind.FIXED, 0)]


def test_new_removed_and_unreachable_hosts_are_counted() -> None:
    compared = since(assessment("stays"), assessment("leaves"), gone("back"), assessment("hides"))
    for host in (assessment("stays"), assessment("new"), assessment("back"), gone("hides")):
        assert compared.add(host) == []
    assert compared.new == ["new"]
    assert compared.gone == ["leaves"]
    assert [host for host, _ in compared.not_compared] == ["back", "hides"]
    assert list(compared.changes()) == []


def test_an_unreadable_earlier_result_is_not_compared() -> None:
    compared = Since(PreviousRuns((Point("earlier", NOW, 1, 0, {}),), frozenset({"db01"}), lambda host: None))
    assert compared.add(assessment("db01")) == []
    assert compared.new == []
    assert compared.not_compared == [("db01", "its last result cannot be read")]
    assert list(compared.totals()) == []


def test_with_a_newer_catalogue_only_common_controls_are_compared() -> None:
    before = assessment(verdicts=statuses(*MANY))
    after = assessment(verdicts=statuses(*[Status.PASS] * 7))
    compared = since(replace(before, findings=before.findings[:2]))
    moves = compared.add(replace(after, findings=after.findings[1:]))
    assert [move.slug for move in moves] == [CONTROLS[1].slug]


def test_control_characters_in_host_names_are_escaped() -> None:
    compared = since(assessment("old\x1b[31m"))
    compared.add(assessment("new\u202e"))
    assert compared.gone == ["old\\x1b[31m"]
    assert compared.new == ["new\\u202e"]
