from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable


@dataclass(frozen=True)
class Thing:
    name: str
    kind: str = "container"
    basis: str = ""


def judged(remarks: dict[str, list[str]], *things: Thing) -> Verdict:
    subjects = things or tuple(Thing(name) for name in remarks)
    return judge_all(
        subjects,
        lambda thing: remarks[thing.name],
        expected="all is well",
        no_subjects="nobody is here",
        question="is it",
    )


def test_an_object_with_a_reason_is_an_offender() -> None:
    verdict = judged({"a": [], "b": ["leaks", "creaks"], "c": ["leaks"]})
    assert verdict.status is Status.FAIL
    assert [(each.kind, each.name, each.detail) for each in verdict.offenders] == [
        ("container", "b", "leaks; creaks"),
        ("container", "c", "leaks"),
    ]
    assert verdict.actual == "2 of 3 containers: b leaks; creaks; c leaks"
    assert verdict.checked == 3


def test_notes_are_evidence_and_do_not_fail() -> None:
    verdict = judged({"a": [Note("squeaks")]})
    assert (verdict.status, verdict.evidence) == (Status.PASS, ("container a: squeaks",))
    assert verdict.actual == "1 container, none violates the control"


def test_a_question_makes_the_verdict_manual() -> None:
    verdict = judged({"a": [Question("hums")], "b": []})
    assert (verdict.status, verdict.actual) == (Status.MANUAL, "is it: 1 of 2 containers")
    assert verdict.offenders[0].detail == "hums"


def test_a_failure_has_precedence_over_a_question_which_becomes_evidence() -> None:
    verdict = judged({"a": [Question("hums")], "b": ["leaks"]})
    assert verdict.status is Status.FAIL
    assert [each.name for each in verdict.offenders] == ["b"]
    assert "container a: hums" in verdict.evidence


def test_a_rule_without_subjects_is_not_applicable() -> None:
    verdict = judge_all((), lambda _: ["x"], expected="all is well", no_subjects="nobody is here")
    assert (verdict.status, verdict.actual) == (Status.NOT_APPLICABLE, "nobody is here")


def unknown_after(*reasons: str) -> Callable[[Thing], Iterator[str]]:
    def judge(thing: Thing) -> Iterator[str]:
        yield from reasons
        raise FactUnavailable("docker.containers", f"{thing.name} was not read")

    return judge


def test_missing_facts_are_an_error_with_their_number() -> None:
    with pytest.raises(FactUnavailable, match=r"a was not read \(2 of 2 containers\)"):
        judge_all((Thing("a"), Thing("b")), unknown_after(), expected="all is well", no_subjects="-")


def test_a_question_does_not_hide_missing_facts() -> None:
    with pytest.raises(FactUnavailable):
        judge_all((Thing("a"),), unknown_after(Question("hums")), expected="all is well", no_subjects="-")


def test_an_object_with_a_reason_fails_even_if_its_later_facts_are_missing() -> None:
    verdict = judge_all((Thing("a"),), unknown_after("leaks"), expected="all is well", no_subjects="-")
    assert verdict.status is Status.FAIL
    assert "container a: could not be judged: docker.containers: a was not read" in verdict.evidence


def test_the_basis_of_a_judgement_is_reported() -> None:
    stopped = Thing("a", basis="not running")
    verdict = judged({"a": ["leaks"], "b": []}, stopped, Thing("b"))
    assert verdict.offenders[0].detail == "leaks (not running)"
    assert "1 of 2 containers: not running" in verdict.evidence


def test_kinds_of_objects_are_counted_separately() -> None:
    verdict = judged({"a": ["leaks"], "b": [], "c": []}, Thing("a"), Thing("b"), Thing("c", kind="service"))
    assert verdict.actual == "1 of 2 containers: a leaks"


@given(st.lists(st.tuples(st.sampled_from(["container", "image", "service"]), st.booleans()), min_size=1))
def test_no_more_objects_of_a_kind_are_named_than_there_are(kinds: list[tuple[str, bool]]) -> None:
    things = [Thing(str(number), kind=kind) for number, (kind, _) in enumerate(kinds)]
    remarks = {str(number): ["leaks"] * leaks for number, (_, leaks) in enumerate(kinds)}
    verdict = judged(remarks, *things)
    shares = re.findall(r"(\d+) of (\d+) (container|image|service)", verdict.actual)
    for number, total, kind in shares:
        assert int(number) == sum(each == kind and leaks for each, leaks in kinds)
        assert int(total) == sum(each == kind for each, _ in kinds)
    assert sum(int(number) for number, _, _ in shares) == sum(leaks for _, leaks in kinds)


def test_the_text_of_a_verdict_names_a_few_objects_and_counts_the_others() -> None:
    verdict = judged({f"{number}" + "x" * 10_000: ["leaks" * 10_000] for number in range(40)})
    assert len(verdict.actual) < 1_000
    assert len(verdict.offenders) == 40
    assert judged({name: ["x"] for name in "abcde"}).actual == "5 of 5 containers: a x; b x; c x; and 2 more"


def test_undecided_objects_are_listed_separately_from_offenders() -> None:
    def judge(thing: Thing) -> Iterator[str]:
        if thing.name == "a":
            yield "leaks"
        elif thing.name == "b":
            yield Question("hums")
        else:
            raise FactUnavailable("docker.containers", f"{thing.name} was not read")

    def undecided(*names: str) -> Undecided | None:
        things = [Thing(name) for name in names]
        return judge_all(things, judge, expected="all is well", no_subjects="-", question="listen").undecided

    assert undecided("a") is None
    question = undecided("a", "b")
    assert question == Undecided(
        Status.MANUAL, "listen: 1 of 2 containers", (Offender("container", "b", "hums"),)
    )
    error = undecided("a", "b", "c")
    assert error == Undecided(
        Status.ERROR, "docker.containers could not be read: c was not read (1 of 3 containers)"
    )
