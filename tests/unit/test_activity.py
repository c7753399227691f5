"""A host's answer: what it means, and that an odd one is refused in one line."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hardener.activity import read
from hardener.errors import HardenerError
from tests.unit.activity_answers import ANSWER, entry


def test_the_entries_and_the_period_of_a_hosts_answer_are_read() -> None:
    heard = read("web1", ANSWER)
    (found,) = heard.now.entries
    assert (found.name, found.kind, found.count, found.targets) == ("web", "mount", 3, ("/mnt/",))
    assert f"{heard.now.began:%Y-%m-%d}" == "2026-11-25"
    assert (heard.before, heard.record_problem, heard.now.complete) == (None, "", True)


@pytest.mark.parametrize(
    ("unusual", "severity", "alarming"),
    [
        (True, "low", True),
        (True, "high", True),
        (False, "high", False),
        (False, "low", False),
        (None, "high", True),
        (None, "medium", False),
    ],
)
def test_entries_are_alarming_if_unusual_or_severe_and_unclassified(
    unusual: bool | None, severity: str, alarming: bool
) -> None:
    heard = read("web1", {**ANSWER, "entries": [entry(unusual=unusual, severity=severity)]})
    assert bool(heard.now.alarming) is alarming


def test_losses_and_unavailable_sources_make_a_window_incomplete() -> None:
    assert not read("web1", {**ANSWER, "lost": {"overruns": 1}}).now.complete
    assert not read("web1", {**ANSWER, "deaf": ["the kernel"]}).now.complete
    assert read("web1", {**ANSWER, "lost": {"kernel": None, "overruns": 0}}).now.complete


def test_a_collector_with_a_problem_makes_the_result_incomplete() -> None:
    assert read("web1", ANSWER).complete
    assert not read("web1", {**ANSWER, "record_problem": "the collector has written nothing since"}).complete
    assert not read("web1", {**ANSWER, "lost": {"overruns": 1}}).complete


def test_the_record_of_the_collector_becomes_the_first_observation_period() -> None:
    record = {key: value for key, value in ANSWER.items() if key not in ("record", "record_problem")}
    heard = read("web1", {**ANSWER, "entries": [], "record": record})
    assert [len(past.entries) for past in heard.windows] == [1, 0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("entries", {}),
        ("entries", [entry()] * 6000),
        ("entries", [5]),
        ("entries", [entry(severity="fatal")]),
        ("entries", [entry(count=-1)]),
        ("entries", [entry(count=True)]),
        ("entries", [entry(unusual="yes")]),
        ("entries", [entry(unusual=0)]),
        ("entries", [entry(targets=[1])]),
        ("entries", [entry(targets=["x"] * 50)]),
        ("lost", {f"{number}": 1 for number in range(1000)}),
        ("entries", [entry(name=None)]),
        ("entries", [{}]),
        ("began", float("inf")),
        ("began", float("nan")),
        ("began", -5),
        ("ended", 10**400),
        ("ended", None),
        ("lost", []),
        ("lost", {"overruns": "many"}),
        ("deaf", "x"),
        ("record", []),
        ("elsewhere", None),
    ],
)
def test_an_answer_of_the_wrong_type_is_refused(key: str, value: Any) -> None:
    answer = copy.deepcopy(ANSWER)
    answer[key] = value
    with pytest.raises(HardenerError, match=r"^the answer about denials is malformed: "):
        read("web1", answer)


def test_long_texts_are_shortened_and_lone_surrogates_replaced() -> None:
    heard = read("web1", {**ANSWER, "entries": [entry(name="\ud800" + "x" * 10**6)]})
    assert len(heard.now.entries[0].name) < 1100
    heard.now.entries[0].name.encode()
