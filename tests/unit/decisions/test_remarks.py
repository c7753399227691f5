from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.assess import unreachable
from hardener.decisions.apply import Place, decider, holds_on
from hardener.decisions.remarks import Tally, attestation_remark, due, remarks, waiver_remark
from hardener.model import (
    AppliedAttestation,
    AppliedWaiver,
    Decisions,
    Offender,
    Scope,
    Standing,
    Status,
    Verdict,
)
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
    assert (
        waiver_remark(AppliedWaiver(one, Standing.STALE))
        == "waiver W-1 is not needed here: there is nothing to waive"
    )


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


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (Scope(("db01",)), True),
        (Scope(("db01", "db02")), True),
        (Scope(("db*",)), False),
        (Scope(groups=("db",)), False),
    ],
)
def test_a_decision_about_several_hosts_is_not_called_unneeded_on_one_of_them(
    scope: Scope, said: bool
) -> None:
    left = waiver("W-1", "x", "2027-01-31", scope=scope)
    made = attestation("A-1", "x", "2027-01-31", scope=scope)
    finding = replace(
        assessment().findings[0],
        waivers=(AppliedWaiver(left, Standing.STALE),),
        attestations=(AppliedAttestation(made, Standing.STALE),),
    )
    assert len(remarks(finding)) == 2 * said


SCOPES = (
    Scope(("web1", "web2", "web3")),
    Scope(("web*",)),
    Scope(groups=("web",)),
    Scope(groups=("all",)),
    Scope(("web1",), groups=("db",)),
    Scope(("web1", "other")),
)


@given(
    st.sampled_from(SCOPES),
    st.tuples(*[st.sampled_from(["passes", "fails", "error", "unreachable", "missing"])] * 3),
    st.booleans(),
)
def test_a_waiver_is_stale_only_if_every_host_of_its_scope_was_evaluated(
    scope: Scope, states: tuple[str, ...], by_inventory: bool
) -> None:
    """The oracle looks at each host by itself; without an inventory no group is known."""
    control = assessment().findings[0].control
    one = waiver("W-1", control.slug, "2027-01-31", scope=scope)
    statuses = {"passes": Status.PASS, "fails": Status.FAIL, "error": Status.ERROR}
    tally, needed, unneeded, unknown = Tally(), False, False, "other" in scope.hosts
    for host, state in zip(("web1", "web2", "web3"), states, strict=True):
        groups = frozenset({"web"}) if by_inventory else None
        holds = holds_on(scope, Place(host, groups))
        if state == "missing":
            unknown = unknown or host in scope.hosts
            continue
        if state == "unreachable":
            tally.add(
                unreachable(host, "no route", [control], benchmark="cis-docker-1.8.0", groups=groups or ())
            )
        else:
            decide = decider(Decisions(TODAY, (one,)), Place(host, groups))
            verdict = Verdict(statuses[state], "expected", "actual")
            made = replace(assessment(host), findings=(decide(control, verdict),), groups=tuple(groups or ()))
            tally.add(made)
        needed = needed or (holds and state == "fails")
        unneeded = unneeded or (holds and state == "passes")
        may_hold = holds or bool(scope.groups and not by_inventory)
        unknown = unknown or (may_hold and state in ("error", "unreachable"))
    assert tally.stale() == ([one] if unneeded and not needed and not unknown else [])


def test_without_reachable_hosts_nothing_is_stale_and_due_decisions_are_listed() -> None:
    tally = Tally()
    tally.add(gone())
    tally.add(assessment())
    assert tally.stale() == []
    assert len(tally.notices(DECISIONS)) == 4
