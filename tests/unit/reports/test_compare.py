from __future__ import annotations

from collections import Counter

import pytest

from hardener.errors import HardenerError
from hardener.model import Assessment, Status
from hardener.reports.compare import Outcome, compare
from tests.unit.reports.conftest import CONTROLS, assessment, gone, statuses

P, F, M, N, W, E = Status


def host(name: str, *wanted: Status) -> Assessment:
    return assessment(name, statuses(*wanted), controls=CONTROLS[: len(wanted)])


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (F, P, Outcome.FIXED),
        (P, F, Outcome.BROKEN),
        (M, F, Outcome.BROKEN),
        (N, F, Outcome.BROKEN),
        (F, F, Outcome.STILL_FAILING),
        (P, P, Outcome.SAME),
        (E, E, Outcome.SAME),
        (P, E, Outcome.UNDECIDED),
        (F, E, Outcome.UNDECIDED),
        (F, N, Outcome.CHANGED),
        (F, W, Outcome.CHANGED),
        (E, P, Outcome.CHANGED),
        (M, P, Outcome.CHANGED),
    ],
)
def test_outcome(before: Status, after: Status, outcome: Outcome) -> None:
    assert Outcome.of(before, after) is outcome


def test_only_fail_to_pass_counts_as_fixed() -> None:
    pairs = [(before, after) for before in Status for after in Status]
    assert [pair for pair in pairs if Outcome.of(*pair) is Outcome.FIXED] == [(F, P)]


def test_one_host() -> None:
    result = compare([host("a", F, F, P, P, M, N, E)], [host("a", P, F, F, E, M, P, P)])
    assert result.outcomes == {
        Outcome.FIXED: 1,
        Outcome.STILL_FAILING: 1,
        Outcome.BROKEN: 1,
        Outcome.UNDECIDED: 1,
        Outcome.SAME: 1,
        Outcome.CHANGED: 2,
    }
    assert result.outcomes.total() == len(CONTROLS)
    assert [change.id for change in result.changes(Outcome.FIXED)] == ["1.1.3"]
    assert [change.id for change in result.changes(Outcome.BROKEN)] == ["2.2"]
    assert (result.before, result.after) == (
        {F: 2, P: 2, M: 1, N: 1, E: 1},
        {P: 3, F: 2, E: 1, M: 1},
    )


def test_sections_add_up_to_the_totals() -> None:
    result = compare([host("a", F, F, P, P, M, N, E)], [host("a", P, F, F, E, M, P, P)])
    assert sum((before for before, _ in result.sections.values()), Counter()) == result.before
    assert sum((after for _, after in result.sections.values()), Counter()) == result.after
    assert result.sections["1 host"] == ({F: 2}, {P: 1, F: 1})


def test_a_fleet_counts_hosts_per_control_and_transition() -> None:
    before = [host(name, F, F) for name in "abc"]
    after = [host("c", P, N), host("a", P, F), host("b", F, F)]
    result = compare(before, after)
    (fixed,) = result.changes(Outcome.FIXED)
    assert (fixed.id, fixed.hosts, fixed.host) == ("1.1.3", 2, "c")
    (still, other) = result.changes(Outcome.STILL_FAILING)
    assert {(still.id, still.hosts), (other.id, other.hosts)} == {("1.1.3", 1), ("1.1.10", 2)}


def test_an_unreachable_host_is_no_change_of_its_controls() -> None:
    result = compare([host("web_1", *[F] * 7)], [gone("web_1")])
    assert result.not_compared == [("web_1", "could not be reached afterwards: ssh: connection refused")]
    assert result.outcomes == {}
    assert (result.before, result.after) == ({F: 7}, {E: 7})
    result = compare([gone("web_1")], [host("web_1", *[P] * 7)])
    assert result.not_compared == [("web_1", "could not be reached before: ssh: connection refused")]
    assert result.changes(Outcome.FIXED) == []


def test_a_host_that_one_run_lacks_is_named() -> None:
    result = compare([host("a", F), host("b", F)], [host("b", P), host("c", P)])
    assert result.not_compared == [("c", "was not assessed before"), ("a", "was not assessed afterwards")]
    assert result.hosts == 1


def test_two_runs_need_not_have_one_order() -> None:
    before = [host("a", F), host("b", P), host("c", M)]
    for after in (["c", "a", "b"], ["b", "c", "d", "a"]):
        result = compare(iter(before), [host(name, P) for name in after])
        assert (result.hosts, result.outcomes[Outcome.FIXED], result.outcomes[Outcome.SAME]) == (3, 1, 1)


def test_different_controls_are_not_compared() -> None:
    with pytest.raises(HardenerError, match="cannot compare a: the two assessments hold different controls"):
        compare([host("a", F)], [host("a", F, P)])
