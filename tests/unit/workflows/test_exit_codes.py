from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest

from hardener.comparison import Drift
from hardener.errors import ExitCode
from hardener.model import Status
from hardener.workflows import exit_codes
from hardener.workload.verdict import Verdict
from tests.unit.reports.assessments import CONTROLS, assessment, gone, statuses

PASSING = statuses(*[Status.PASS] * len(CONTROLS))
# By increasing precedence, as in the table of README.md.
ORDER = [0, 7, 4, 3, 6, 9, 8, 5, 2, 1, 141, 130]


def test_of_several_exit_codes_the_one_with_the_highest_precedence_is_returned() -> None:
    codes = sorted(ExitCode, key=ORDER.index)
    assert {*codes} == {*ExitCode}
    for number in range(4):
        for some in permutations(codes, number):
            assert exit_codes.highest(*some) is max(some, key=codes.index, default=ExitCode.COMPLIANT)


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, ExitCode.COMPLIANT),
        ({Status.PASS: 3, Status.MANUAL: 1, Status.WAIVED: 1, Status.NOT_APPLICABLE: 1}, ExitCode.COMPLIANT),
        ({Status.PASS: 3, Status.ERROR: 1}, ExitCode.INCOMPLETE),
        ({Status.ERROR: 3, Status.FAIL: 1}, ExitCode.NOT_COMPLIANT),
    ],
)
def test_the_exit_code_of_an_audit_is_3_for_failures_and_4_for_errors_alone(
    counts: dict[Status, int], code: ExitCode
) -> None:
    assert exit_codes.of_findings(Counter(counts)) is code


@pytest.mark.parametrize("failed", [(), ("a",)])
@pytest.mark.parametrize("not_begun", [(), ("b",)])
@pytest.mark.parametrize("rolled_back", [(), ("a",)])
def test_the_exit_code_of_a_change_is_that_of_the_reason_with_the_highest_precedence(
    failed: tuple[str, ...], not_begun: tuple[str, ...], rolled_back: tuple[str, ...]
) -> None:
    reasons = {5: rolled_back, 8: not_begun, 9: failed}
    code = exit_codes.of_change(rolled_back=rolled_back, failed=failed, not_begun=not_begun)
    assert code == next((code for code, hosts in reasons.items() if hosts), 0)


def test_the_exit_code_of_drift_prefers_drift_to_an_incomplete_comparison() -> None:
    drift = Drift()
    assert exit_codes.of_drift(drift) is ExitCode.COMPLIANT
    drift.add(assessment("a"), gone("a"))
    assert exit_codes.of_drift(drift) is ExitCode.INCOMPLETE
    drift.add(assessment("b", PASSING), assessment("b"))
    assert exit_codes.of_drift(drift) is ExitCode.DRIFTED


@pytest.mark.parametrize(
    ("statuses", "all_hosts", "code"),
    [
        (["verified", "pinned", "allowed", "exempt"], True, ExitCode.COMPLIANT),
        (["verified"], False, ExitCode.INCOMPLETE),
        (["verified", "unreachable"], True, ExitCode.INCOMPLETE),
        (["unreachable", "unsigned"], False, ExitCode.NOT_COMPLIANT),
        (["a word of a later version"], True, ExitCode.NOT_COMPLIANT),
    ],
)
def test_the_exit_code_of_a_verification_prefers_untrusted_images_to_missing_answers(
    statuses: list[str], all_hosts: bool, code: ExitCode
) -> None:
    found = exit_codes.of_images([{"status": status} for status in statuses], all_hosts=all_hosts)
    assert found is code


def test_each_verdict_of_a_proof_has_its_exit_code() -> None:
    assert [exit_codes.of_proof(verdict) for verdict in Verdict] == [
        ExitCode.COMPLIANT,
        ExitCode.NOT_COMPLIANT,
        ExitCode.INCOMPLETE,
    ]


def test_exit_zero_replaces_only_the_exit_codes_of_failing_and_incomplete_audits() -> None:
    for code in ExitCode:
        wanted = 0 if code in (ExitCode.NOT_COMPLIANT, ExitCode.INCOMPLETE) else code
        assert exit_codes.unless_exit_zero(code, True) == wanted
        assert exit_codes.unless_exit_zero(code, False) is code
