"""Slices over places that do what the test wants; tests/integration has Ansible."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from hardener.fleet import sliced as module
from hardener.fleet.events import Event, Hosts, Idle, Outcome, SliceLost, State, StepStarted, TaskResult
from hardener.fleet.executor import Job
from hardener.fleet.sliced import SlicedExecution


class Piece:
    """A slice that answers for its hosts, and is lost before the host ``dies_at``."""

    def __init__(self, place: FakePlace, job: Job) -> None:
        assert job.hosts is not None
        self.place, self.job, self.hosts = place, job, job.hosts
        self.is_complete = False
        self.reason = "killed"
        self.outcomes: dict[str, Outcome] = {}
        self.groups = dict.fromkeys(job.hosts, ("web",))

    def __enter__(self) -> Self:
        self.place.asked.append(self.hosts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.place.left.append(kind)

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    def events(self) -> Iterator[Event]:
        yield Hosts(self.hosts, self.groups)
        for host in self.hosts:
            while self.place.stuck.is_set():
                yield Idle()
            if host in self.place.dies_at:
                self.place.dies_at.remove(host)
                return
            if host == "raises":
                raise RuntimeError("a defect\nof a place")
            yield StepStarted(host, "apply")
            yield StepStarted("another", "apply")
            self.outcomes[host] = Outcome(State.OK)
            yield TaskResult(host, "collect", State.OK)
        self.is_complete = True


class FakePlace:
    def __init__(self, name: str, *dies_at: str, ready: bool = True) -> None:
        self.name, self.dies_at, self.ready = name, list(dies_at), ready
        self.asked: list[tuple[str, ...]] = []
        self.left: list[type[BaseException] | None] = []
        self.stuck = threading.Event()

    def is_ready(self) -> bool:
        return self.ready

    def start(self, job: Job) -> Piece:
        return Piece(self, job)


def execution(
    places: Sequence[FakePlace], hosts: Sequence[str] | None, *, size: int = 2, playbook: str = "audit"
) -> SlicedExecution:
    job = Job(
        playbook=playbook, inventory="a,", cwd=Path.cwd(), hosts=None if hosts is None else tuple(hosts)
    )
    return SlicedExecution(job, lambda _count: size, places)


def hosts_of(events: Sequence[Event], state: State = State.OK) -> list[str]:
    return sorted(event.host for event in events if isinstance(event, TaskResult) and event.state is state)


def test_each_host_is_given_to_one_executor_and_answers_once() -> None:
    places = [FakePlace("1"), FakePlace("2")]
    with execution(places, "hgfedcba") as run:
        events = list(run)
    assert events[0] == Hosts(tuple("hgfedcba"))
    assert hosts_of(events) == list("abcdefgh")
    assert list(run.outcomes) == list("hgfedcba")
    assert sorted(event.host for event in events if isinstance(event, StepStarted)) == list("abcdefgh")
    assert run.groups == dict.fromkeys("abcdefgh", ("web",))
    assert sorted(host for place in places for piece in place.asked for host in piece) == list("abcdefgh")


def test_a_lost_slice_is_repeated_by_another_executor() -> None:
    places = [FakePlace("1", "b"), FakePlace("2")]
    with execution(places, "abcd", size=4) as run:
        events = list(run)
    assert hosts_of(events) == list("abcd")
    assert [each for each in events if isinstance(each, SliceLost)] == [SliceLost(1, tuple("bcd"), "killed")]
    assert (places[0].asked, places[1].asked) == ([tuple("abcd")], [tuple("bcd")])
    assert all(outcome.ended_well for outcome in run.outcomes.values())


def test_a_slice_that_is_lost_everywhere_is_reported() -> None:
    places = [FakePlace("1", "b", "b"), FakePlace("2", "b", "b")]
    with execution(places, "ab") as run:
        events = list(run)
    assert (hosts_of(events), hosts_of(events, State.FAILED)) == (["a"], ["b"])
    assert run.outcomes["b"] == Outcome(State.FAILED, "lost with its slice: killed")


def test_a_slice_that_changes_hosts_is_not_repeated() -> None:
    places = [FakePlace("1", "b"), FakePlace("2")]
    with execution(places, "ab", playbook="harden") as run:
        list(run)
    assert sum(len(place.asked) for place in places) == 1
    assert run.outcomes["b"].state is State.FAILED


def test_an_error_of_an_executor_loses_only_its_slice() -> None:
    with execution([FakePlace("1")], ["a", "raises"], size=1) as run:
        list(run)
    assert run.outcomes["a"] == Outcome(State.OK)
    assert run.outcomes["raises"].reason == "lost with its slice: a defect of a place"


def test_executors_that_never_get_ready_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    job = Job(playbook="audit", inventory="a,", cwd=Path.cwd(), hosts=("a", "b"))
    with SlicedExecution(job, abs, [FakePlace("w1", ready=False)], patience=0.05) as run:
        events = list(run)
    assert hosts_of(events, State.FAILED) == ["a", "b"]
    assert "w1" in run.outcomes["a"].reason


def test_leaving_the_context_ends_every_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    places = [FakePlace("1"), FakePlace("2")]
    for place in places:
        place.stuck.set()
    with pytest.raises(ZeroDivisionError), execution(places, "abcd") as run:
        _ = [1 // 0 for _ in run if all(place.asked for place in places)]
    assert [len(place.left) for place in places] == [1, 1]
    assert all(place.left[0] is not None for place in places), "a slice was not interrupted"
