from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.apply import Place, by_groups, covered_offenders, decider, holds_on
from hardener.model import (
    Attestation,
    Decisions,
    Finding,
    Offender,
    Scope,
    Standing,
    Status,
    Undecided,
    Verdict,
    Waiver,
)
from tests.hanging import must_end
from tests.unit.reports.assessments import attestation, control, waiver

TODAY = date(2026, 11, 25)
HERE = Place("web1.example.org", frozenset({"web", "production"}))
CONTROL = control("container-not-privileged", "5.5", "runtime")
WEB, DB, CI = (Offender("container", name, "runs privileged") for name in ("web", "db", "ci-1"))
FAILS = Verdict(Status.FAIL, "none is privileged", "3 of 7", (WEB, DB, CI), ("asked the engine",), 7)
ASKS = Verdict(Status.MANUAL, "each is needed", "look at 2", (WEB, DB), ("facts",), 7)


def later(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


def objects(*globs: str, kind: str = "container") -> Scope:
    return Scope(("*",), objects=tuple((kind, glob) for glob in globs))


def a_waiver(identifier: str = "W-1", *, days: int = 90, scope: Scope | None = None) -> Waiver:
    return waiver(identifier, CONTROL.slug, later(days), scope=scope or Scope(("*",)))


def an_attestation(identifier: str = "A-1", *, days: int = 90, scope: Scope | None = None) -> Attestation:
    return attestation(identifier, CONTROL.slug, later(days), scope=scope or Scope(("*",)))


def decide(verdict: Verdict, *decisions: Waiver | Attestation, place: Place = HERE) -> Finding:
    made = Decisions(
        TODAY,
        tuple(each for each in decisions if isinstance(each, Waiver)),
        tuple(each for each in decisions if isinstance(each, Attestation)),
    )
    return decider(made, place)(CONTROL, verdict)


def standings(finding: Finding) -> dict[str, Standing]:
    return {each.waiver.id: each.standing for each in finding.waivers} | {
        each.attestation.id: each.standing for each in finding.attestations
    }


# --- waivers --------------------------------------------------------------------------------------------


def test_a_waiver_keeps_the_evidence_of_the_failure() -> None:
    finding = decide(FAILS, a_waiver())
    assert finding.verdict == replace(FAILS, status=Status.WAIVED)
    assert standings(finding) == {"W-1": Standing.IN_FORCE}
    assert finding.waived


def test_a_waiver_of_another_control_or_host_does_not_apply() -> None:
    elsewhere = a_waiver(scope=Scope(("db*",), ("database",)))
    other = replace(a_waiver(), control="another")
    assert decide(FAILS, elsewhere, other) == Finding(CONTROL, FAILS)


def test_an_error_is_not_waived() -> None:
    verdict = replace(FAILS, status=Status.ERROR)
    assert decide(verdict, a_waiver()) == Finding(CONTROL, verdict)


@pytest.mark.parametrize("status", [Status.PASS, Status.NOT_APPLICABLE, Status.MANUAL])
def test_a_waiver_of_a_control_that_does_not_fail_is_stale(status: Status) -> None:
    verdict = replace(FAILS, status=status, offenders=())
    finding = decide(verdict, a_waiver(), a_waiver("W-2", days=-1))
    assert finding.verdict == verdict
    assert standings(finding) == {"W-1": Standing.STALE}
    assert not finding.waived


def test_a_waiver_ends_after_its_last_day() -> None:
    assert decide(FAILS, a_waiver(days=0)).status is Status.WAIVED
    finding = decide(FAILS, a_waiver(days=-1))
    assert finding.verdict == FAILS
    assert standings(finding) == {"W-1": Standing.EXPIRED}


def test_one_waived_container_does_not_hide_another() -> None:
    finding = decide(FAILS, a_waiver(scope=objects("web", "ci-*")))
    assert finding.status is Status.FAIL
    assert finding.verdict.offenders == (DB,)
    assert finding.verdict.actual == "1 of 3 is not waived: db runs privileged"
    assert finding.verdict.checked == 7
    assert finding.waivers[0].offenders == (WEB, CI)
    assert finding.waived


def test_several_waivers_can_cover_all_offenders() -> None:
    finding = decide(FAILS, a_waiver(scope=objects("web")), a_waiver("W-2", scope=objects("[cd]*")))
    assert finding.verdict == replace(FAILS, status=Status.WAIVED)
    assert [each.offenders for each in finding.waivers] == [(WEB,), (DB, CI)]


def test_a_waiver_of_an_object_does_not_cover_another_kind() -> None:
    finding = decide(FAILS, a_waiver(scope=objects("*", kind="image")))
    assert finding.verdict == FAILS
    assert standings(finding) == {"W-1": Standing.STALE}


def test_a_waiver_of_objects_does_not_cover_a_failure_without_offenders() -> None:
    verdict = replace(FAILS, offenders=())
    finding = decide(verdict, a_waiver(scope=objects("*")))
    assert finding.verdict == verdict


def test_an_expired_waiver_is_reported_while_its_objects_still_fail() -> None:
    gone = a_waiver("W-2", days=-1, scope=objects("db"))
    done = a_waiver("W-3", days=-1, scope=objects("web"))
    finding = decide(FAILS, a_waiver(scope=objects("web", "ci-1")), gone, done)
    assert finding.verdict.offenders == (DB,)
    assert standings(finding) == {"W-1": Standing.IN_FORCE, "W-2": Standing.EXPIRED}


def test_an_expired_waiver_is_not_reported_if_another_one_covers_it() -> None:
    finding = decide(FAILS, a_waiver(days=-1), a_waiver("W-2"))
    assert finding.status is Status.WAIVED
    assert standings(finding) == {"W-2": Standing.IN_FORCE}


def test_a_waiver_of_every_offender_does_not_waive_objects_with_missing_facts() -> None:
    unknown = Undecided(Status.ERROR, "docker.containers could not be read: gone (1 of 7 containers)")
    finding = decide(replace(FAILS, undecided=unknown), a_waiver(scope=objects("*")))
    assert finding.status is Status.ERROR
    assert finding.verdict.actual == unknown.actual
    assert finding.waivers[0].offenders == (WEB, DB, CI)


def test_a_waiver_of_the_control_waives_objects_with_missing_facts() -> None:
    unknown = Undecided(Status.ERROR, "could not be read")
    assert decide(replace(FAILS, undecided=unknown), a_waiver()).status is Status.WAIVED


# --- attestations ---------------------------------------------------------------------------------------


def test_a_manual_control_passes_by_an_attestation() -> None:
    finding = decide(ASKS, an_attestation())
    assert finding.status is Status.PASS
    assert finding.attested
    assert finding.verdict.offenders == ()
    assert finding.verdict.evidence == (
        "facts",
        "container web: runs privileged",
        "container db: runs privileged",
    )


@pytest.mark.parametrize("status", [Status.FAIL, Status.ERROR, Status.WAIVED])
def test_an_attestation_does_not_make_a_failure_pass(status: Status) -> None:
    verdict = replace(ASKS, status=status)
    assert decide(verdict, an_attestation()) == Finding(CONTROL, verdict)


def test_an_expired_attestation_leaves_the_control_manual() -> None:
    finding = decide(ASKS, an_attestation(days=-1))
    assert finding.verdict == ASKS
    assert standings(finding) == {"A-1": Standing.EXPIRED}
    assert not finding.attested


def test_an_attestation_of_a_passing_control_is_stale() -> None:
    finding = decide(replace(ASKS, status=Status.PASS, offenders=()), an_attestation())
    assert standings(finding) == {"A-1": Standing.STALE}
    assert not finding.attested


def test_an_attestation_of_objects_leaves_other_objects_manual() -> None:
    finding = decide(ASKS, an_attestation(scope=objects("web")))
    assert finding.status is Status.MANUAL
    assert finding.verdict.offenders == (DB,)
    assert finding.verdict.actual == "1 of 2 is not attested: db runs privileged"
    assert decide(ASKS, an_attestation(scope=objects("*"))).attested


def test_an_attestation_of_absent_objects_does_not_apply() -> None:
    finding = decide(ASKS, an_attestation(scope=objects("mail")), an_attestation("A-2", days=-1))
    assert finding.verdict == ASKS
    assert standings(finding) == {"A-1": Standing.STALE, "A-2": Standing.EXPIRED}


def test_a_control_is_waived_if_its_failures_are_waived_and_its_questions_attested() -> None:
    question = Undecided(Status.MANUAL, "look at 1", (DB,))
    verdict = replace(FAILS, offenders=(WEB,), undecided=question)
    waived = decide(verdict, a_waiver(scope=objects("web")))
    assert (waived.status, waived.verdict.offenders) == (Status.MANUAL, (DB,))
    finding = decide(verdict, a_waiver(scope=objects("web")), an_attestation(scope=objects("db")))
    assert finding.status is Status.WAIVED
    assert not finding.attested


# --- hosts, groups, globs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (Scope(("web1.example.org",)), True),
        (Scope(("web?.example.org",)), True),
        (Scope(("*",)), True),
        (Scope(("WEB*",)), False),
        (Scope(("web1",)), False),
        (Scope((), ("web",)), True),
        (Scope((), ("all",)), True),
        (Scope((), ("w*",)), False),
        (Scope(("db*",), ("production",)), True),
        (Scope(), False),
    ],
)
def test_a_decision_applies_to_its_hosts_and_groups(scope: Scope, holds: bool) -> None:
    assert holds_on(scope, HERE) is holds


def test_decisions_by_group_do_not_apply_to_a_host_with_unknown_groups() -> None:
    nowhere = Place("web1.example.org")
    assert not holds_on(Scope((), ("web",)), nowhere)
    assert holds_on(Scope((), ("all",)), nowhere)
    assert holds_on(Scope(("web*",), ("web",)), nowhere)


def test_the_decisions_that_need_groups_are_named() -> None:
    by_group = a_waiver("W-2", scope=Scope((), ("web",)))
    everywhere = a_waiver("W-3", scope=Scope((), ("all",)))
    said = an_attestation(scope=Scope(("x",), ("db",)))
    assert by_groups(Decisions(TODAY, (a_waiver(), by_group, everywhere), (said,))) == ["W-2", "A-1"]


NAMES = st.text("ab-1*?[]", max_size=6)
OFFENDERS = st.lists(
    st.builds(Offender, st.sampled_from(["container", "image"]), NAMES, st.just("x")), max_size=6
).map(tuple)
SCOPES = st.builds(
    Scope,
    st.just(("*",)),
    st.just(()),
    st.lists(st.tuples(st.sampled_from(["container", "image"]), NAMES), max_size=3).map(tuple),
)


@given(SCOPES, OFFENDERS)
def test_objects_are_matched_by_shell_patterns_and_keep_their_order(
    scope: Scope, offenders: tuple[Offender, ...]
) -> None:
    found = covered_offenders(scope, offenders)
    assert [each for each in offenders if each in found] == list(found)
    for each in offenders:
        matches = [glob for kind, glob in scope.objects if kind == each.kind and fnmatchcase(each.name, glob)]
        assert (each in found) is bool(matches)


@given(st.lists(st.tuples(SCOPES, st.integers(-2, 2)), max_size=4), OFFENDERS, st.randoms())
def test_decisions_never_add_offenders_and_are_independent_of_order(
    made: Sequence[tuple[Scope, int]], offenders: tuple[Offender, ...], random: Random
) -> None:
    waivers = [a_waiver(f"W-{n}", days=days, scope=scope) for n, (scope, days) in enumerate(made)]
    verdict = replace(FAILS, offenders=offenders)
    finding = decide(verdict, *waivers)
    in_force = [each for each in finding.waivers if each.standing is Standing.IN_FORCE]
    whole = any(not each.waiver.scope.objects for each in in_force)
    waived = {offender for each in in_force for offender in each.offenders}
    if whole or (offenders and set(offenders) == waived):
        assert finding.verdict == replace(verdict, status=Status.WAIVED)
    else:
        assert finding.status is Status.FAIL
        assert finding.verdict.offenders == tuple(each for each in offenders if each not in waived)
    shuffled = list(waivers)
    random.shuffle(shuffled)
    again = decide(verdict, *shuffled)
    assert again.verdict == finding.verdict
    assert standings(again) == standings(finding)


def test_a_pathological_glob_is_matched_in_bounded_time() -> None:
    verdict = replace(FAILS, offenders=(Offender("container", "a" * 5000, "x"),))
    with must_end():
        assert decide(verdict, a_waiver(scope=objects("*a" * 90 + "b"))).status is Status.FAIL
