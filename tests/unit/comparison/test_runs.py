from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from hardener.comparison import ChangeKind
from hardener.comparison.runs import compare
from hardener.errors import HardenerError
from hardener.model import Assessment, Severity, Status
from tests.unit.reports.assessments import CONTROLS, assessment, gone, statuses

P, F, M, N, W, E = Status


def host(name: str, *wanted: Status) -> Assessment:
    return assessment(name, statuses(*wanted), controls=CONTROLS[: len(wanted)])


def test_changes_of_one_host_are_listed() -> None:
    result = compare([host("a", F, F, P, P, M, N, E)], [host("a", P, F, F, E, M, P, P)])
    assert result.kinds == {
        ChangeKind.FIXED: 1,
        ChangeKind.STILL_FAILING: 1,
        ChangeKind.BROKEN: 1,
        ChangeKind.UNDECIDED: 1,
        ChangeKind.UNCHANGED: 1,
        ChangeKind.CHANGED: 2,
    }
    assert result.kinds.total() == len(CONTROLS)
    assert [change.id for change in result.changes(ChangeKind.FIXED)] == ["1.1.3"]
    assert [change.id for change in result.changes(ChangeKind.BROKEN)] == ["2.2"]
    assert (result.before, result.after) == (
        {F: 2, P: 2, M: 1, N: 1, E: 1},
        {P: 3, F: 2, E: 1, M: 1},
    )


def test_counts_by_section_add_up_to_the_totals() -> None:
    result = compare([host("a", F, F, P, P, M, N, E)], [host("a", P, F, F, E, M, P, P)])
    assert sum((before for before, _ in result.sections.values()), Counter()) == result.before
    assert sum((after for _, after in result.sections.values()), Counter()) == result.after
    assert result.sections["1 host"] == ({F: 2}, {P: 1, F: 1})


def test_equal_changes_of_a_control_are_one_entry_with_the_number_of_hosts() -> None:
    before = [host(name, F, F) for name in "abc"]
    after = [host("c", P, N), host("a", P, F), host("b", F, F)]
    result = compare(before, after)
    (fixed,) = result.changes(ChangeKind.FIXED)
    assert (fixed.id, fixed.hosts, fixed.host) == ("1.1.3", 2, "c")
    (still, other) = result.changes(ChangeKind.STILL_FAILING)
    assert {(still.id, still.hosts), (other.id, other.hosts)} == {("1.1.3", 1), ("1.1.10", 2)}


def test_a_change_has_the_severity_of_its_most_severe_verdict() -> None:
    def failing(name: str, severity: Severity | None) -> Assessment:
        (verdict,) = statuses(F)
        return assessment(name, [replace(verdict, severity=severity)], controls=CONTROLS[:1])

    before = [host(name, P) for name in "abc"]
    after = [failing("a", Severity.LOW), failing("b", Severity.MEDIUM), failing("c", Severity.LOW)]
    assert [each.severity for each in compare(before[:1], after[:1]).changes(ChangeKind.BROKEN)] == [
        Severity.LOW
    ]
    assert [each.severity for each in compare(before, after).changes(ChangeKind.BROKEN)] == [Severity.MEDIUM]


def test_an_unreachable_host_does_not_change_its_controls() -> None:
    result = compare([host("web_1", *[F] * 7)], [gone("web_1")])
    assert result.not_compared == [("web_1", "was not audited afterwards: ssh: connection refused")]
    assert result.kinds == {}
    assert (result.before, result.after) == ({F: 7}, {E: 7})
    result = compare([gone("web_1")], [host("web_1", *[P] * 7)])
    assert result.not_compared == [("web_1", "was not audited before: ssh: connection refused")]
    assert result.changes(ChangeKind.FIXED) == []


def test_a_host_that_one_run_lacks_is_named() -> None:
    result = compare([host("a", F), host("b", F)], [host("b", P), host("c", P)])
    assert result.not_compared == [("c", "was not assessed before"), ("a", "was not assessed afterwards")]
    assert result.hosts == 1


def test_runs_with_a_different_order_are_compared() -> None:
    before = [host("a", F), host("b", P), host("c", M)]
    for after in (["c", "a", "b"], ["b", "c", "d", "a"]):
        result = compare(iter(before), [host(name, P) for name in after])
        assert (result.hosts, result.kinds[ChangeKind.FIXED], result.kinds[ChangeKind.UNCHANGED]) == (3, 1, 1)


def test_assessments_by_different_controls_are_refused() -> None:
    with pytest.raises(HardenerError, match="cannot compare a: the two assessments hold different controls"):
        compare([host("a", F)], [host("a", F, P)])
