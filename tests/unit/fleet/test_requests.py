from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

import pytest

from hardener.fleet import Event, Fleet, Hosts, Idle, Outcome, State, TaskResult, requests
from hardener.fleet.answers import Answers, ChangeAnswer
from hardener.model import Impact

EVENTS = (
    Hosts(("a", "b", "c")),
    TaskResult("a", "debug", State.OK, data={"diff": "of debug"}),
    TaskResult("a", "converge", State.SKIPPED),
    Idle(),
    TaskResult("b", "converge", State.CHANGED, data={"outcome": "changed", "msg": "done", "diff": "of b"}),
    TaskResult("b", "set_fact", State.OK),
    TaskResult("c", "converge", State.FAILED, "no", data={"outcome": "rolled_back", "msg": "no"}),
)


class Asked:
    """A fleet that notes what it is asked, and whose one run gives these events."""

    def __init__(self, *events: Event) -> None:
        self.events = events
        self.playbook = ""
        self.options: Mapping[str, Any] = {}
        self.outcomes = {
            "a": Outcome(State.OK),
            "b": Outcome(State.CHANGED),
            "c": Outcome(State.FAILED, "no"),
        }

    def run(self, playbook: str, **options: Any) -> Self:
        self.playbook, self.options = playbook, options
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Event]:
        yield from self.events


class Seen:
    """A watcher that notes everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.differences: list[tuple[str, Any]] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def difference(self, host: str, difference: Any) -> None:
        self.differences.append((host, difference))


def ask(asked: Asked, **options: Any) -> Answers[ChangeAnswer]:
    given: dict[str, Any] = {"check": False, "differences": False, **options}
    return requests.install(cast(Fleet, asked), ["b", "c"], requests.Limits(), **given)


def test_only_results_of_the_action_are_answers() -> None:
    with ask(Asked(*EVENTS)) as answers:
        found = list(answers.each(Seen()))
    assert [(each.host, each.message, each.rolled_back) for each in found] == [
        ("b", "done", False),
        ("c", "", True),
    ]
    assert (answers.all_well(["a", "b"]), answers.all_well(["c"]), answers.all_well()) == (True, False, False)


def test_the_watcher_gets_every_event_and_the_end_of_each_host() -> None:
    seen = Seen()
    with ask(Asked(*EVENTS)) as answers:
        list(answers.each(seen))
    assert seen.events[0] == Hosts(("b", "c"))  # those that are asked
    assert [each.last for each in seen.events if isinstance(each, TaskResult)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    assert [
        dataclasses.replace(each, last=False) if isinstance(each, TaskResult) else each
        for each in seen.events[1:]
    ] == list(EVENTS[1:])
    assert not seen.differences


def test_differences_are_reported_on_request() -> None:
    seen = Seen()
    with ask(Asked(*EVENTS), differences=True) as answers:
        list(answers.each(seen))
    assert [each for each in seen.differences if each[1]] == [("a", "of debug"), ("b", "of b")]


def test_only_the_given_limits_become_variables() -> None:
    assert requests.Limits().variables() == {}
    limits = requests.Limits(allow=Impact.RELOAD, confirm_timeout=30)
    assert limits.variables() == {"converge_allow": "reload", "converge_confirm_timeout": 30}


@pytest.mark.parametrize(("socket", "extra"), [("", {}), ("/run/d.sock", {"collect_socket": "/run/d.sock"})])
def test_snapshots_are_collected(tmp_path: Path, socket: str, extra: dict[str, str]) -> None:
    asked = Asked(
        TaskResult("a", "collect", State.OK, data={"snapshot": "/s/a.json"}),
        TaskResult("b", "collect", State.UNREACHABLE, "gone"),
    )
    with requests.collect(cast(Fleet, asked), tmp_path, socket=socket) as answers:
        assert [(each.host, each.snapshot) for each in answers.each(Seen())] == [("a", Path("/s/a.json"))]
    assert (asked.playbook, asked.options["variables"]) == ("audit", {"collect_dest": str(tmp_path), **extra})


@pytest.mark.parametrize(("socket", "extra"), [("", {}), ("/run/d.sock", {"collect_socket": "/run/d.sock"})])
def test_variables_of_a_stage_have_the_name_of_their_command_as_prefix(
    socket: str, extra: dict[str, str]
) -> None:
    asked = Asked(TaskResult("a", "prove", State.OK, data={"up": True}))
    with requests.stage(
        cast(Fleet, asked), "prove", {"stage": "begin", "run": "1"}, socket=socket
    ) as answers:
        assert [dict(each.data) for each in answers.each(Seen())] == [{"up": True}]
    assert (asked.playbook, asked.options["variables"]) == (
        "prove",
        {"prove_stage": "begin", "prove_run": "1", **extra},
    )


def test_an_unreadable_answer_is_a_problem_of_its_host() -> None:
    asked = Asked(TaskResult("a", "vulnerability_scan", State.OK, data={"scan": {"schema": "other"}}))
    scan = requests.scan(cast(Fleet, asked), images=False, cves=False, openscap=False, reports=())
    with scan as answers:
        (answer,) = answers.each(Seen())
    assert (answer.host, answer.record) == ("a", None)
    assert answer.problem
