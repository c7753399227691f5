from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.remarks import Tally, attestation_remark, due, waiver_remark
from hardener.model import AppliedAttestation, AppliedWaiver, Decisions, Offender, Scope, Standing
from tests.unit.reports.assessments import (
    DECISIONS,
    assessment,
    attestation,
    decided,
    gone,
    hostile_text,
    waiver,
)

TODAY = date(2026, 11, 25)


def test_a_waiver_is_described_in_one_line() -> None:
    one = waiver("W-1", "x", "2027-01-31")
    assert waiver_remark(AppliedWaiver(one, Standing.IN_FORCE)) == (
        "waived until 2027-01-31 [W-1 by team-x]: The vendor's agent needs it."
    )
    assert waiver_remark(AppliedWaiver(one, Standing.EXPIRED)) == "waiver W-1 expired 2027-01-31"
    assert waiver_remark(AppliedWaiver(one, Standing.STALE)) == "stale waiver W-1: there is nothing to waive"


def test_a_few_waived_objects_are_named() -> None:
    one = waiver("W-1", "x", "2027-01-31", scope=Scope(("*",), objects=(("container", "*"),)))
    covered = tuple(Offender("container", f"c{n}", "") for n in range(9))
    said = waiver_remark(AppliedWaiver(one, Standing.IN_FORCE, covered))
    assert said.startswith("waived until 2027-01-31 [W-1 by team-x] for container c0, container c1, ")
    assert said.endswith("container c4, +4 more: The vendor's agent needs it.")


def test_an_attestation_is_described_in_one_line_with_its_evidence() -> None:
    one = attestation("A-1", "x", "2027-01-31")
    assert attestation_remark(AppliedAttestation(one, Standing.IN_FORCE)) == (
        "attested until 2027-01-31 [A-1 by J. Doe on 2026-09-01]: Every Dockerfile."
        f" (images.pdf, SHA-256 {'9f' * 32})"
    )
    without = replace(one, evidence="", sha256="")
    assert attestation_remark(AppliedAttestation(without, Standing.IN_FORCE)).endswith("Every Dockerfile.")


@given(hostile_text)
def test_remarks_with_hostile_text_are_one_line(text: str) -> None:
    scope = Scope(("*",), objects=(("container", "*"),))
    about = (Offender(text, text, text),)
    left = waiver("W-1", "x", "2027-01-31", scope=scope, reason=text, owner=text)
    said = attestation("A-1", "x", "2027-01-31", scope=scope, looked_at=text, attested_by=text, evidence=text)
    for standing in Standing:
        assert waiver_remark(AppliedWaiver(left, standing, about)).isprintable()
        assert attestation_remark(AppliedAttestation(said, standing, about)).isprintable()


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "expired 2026-11-24"), (0, "expires 2026-11-25, today"), (1, "expires 2026-11-26, tomorrow")],
)
def test_the_expiry_of_a_decision_is_described_relative_to_today(days: int, words: str) -> None:
    ends = (TODAY + timedelta(days=days)).isoformat()
    (one,) = due(Decisions(TODAY, (waiver("W-1", "x", ends),)))
    assert str(one) == f"waiver W-1 (x, team-x) {words}"


@given(st.lists(st.integers(-400, 400), max_size=20))
def test_decisions_expired_or_expiring_within_30_days_are_due(days: list[int]) -> None:
    made = tuple(
        waiver(f"W-{n}", "x", (TODAY + timedelta(days=each)).isoformat()) for n, each in enumerate(days)
    )
    assert [each.days for each in due(Decisions(TODAY, made))] == sorted(each for each in days if each <= 30)


def test_without_decision_files_no_decision_is_listed_as_due() -> None:
    assert due(None) == []


def test_a_decision_that_no_host_needs_is_stale() -> None:
    tally = Tally()
    tally.add(decided("db01"))
    assert [each.id for each in tally.stale()] == ["W-002"]
    assert (tally.partly, tally.attested) == (1, 1)


def test_a_waiver_that_another_host_needs_is_not_stale() -> None:
    needed = decided("db01")
    findings = tuple(
        replace(each, waivers=tuple(replace(one, standing=Standing.STALE) for one in each.waivers))
        for each in needed.findings
    )
    tally = Tally()
    tally.add(replace(needed, findings=findings))
    tally.add(needed)
    assert [each.id for each in tally.stale()] == ["W-002"]


def test_without_reachable_hosts_nothing_is_stale_and_due_decisions_are_listed() -> None:
    tally = Tally()
    tally.add(gone())
    tally.add(assessment())
    assert tally.stale() == []
    assert len(tally.notices(DECISIONS)) == 4
