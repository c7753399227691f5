"""What counts of what becomes of a container, by a table of what a person expects."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import containers, health
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer, NotFound

SEEN, GONE, BACK, NOW = 1000.0, 1010.0, 1014.0, 1030.0  # the picture, the engine goes and is back, the look
AWAY = [[GONE, BACK]]
MOMENTS = {"before": 1005.0, "away": 1012.0, "after": 1020.0}
POLICIES = ("no", "on-failure", "always", "unless-stopped")
COUNTS, TOLD, SILENT, RUNS = "counts", "told", "silent", "runs"


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".123456789Z"


def container(policy: str, **state: Any) -> dict[str, Any]:
    restarts = state.pop("restarts", 0)
    running = {"Running": True, "Status": "running", "ExitCode": 0, "StartedAt": at(0), "FinishedAt": at(0)}
    running["FinishedAt"] = "0001-01-01T00:00:00Z"
    return {
        "Id": "i",
        "Name": "/web",
        "RestartCount": restarts,
        "State": {**running, **state},
        "HostConfig": {"RestartPolicy": {"Name": policy}},
        "Config": {"Labels": {}},
        "NetworkSettings": {},
    }


def ended(policy: str, moment: str, code: int, **state: Any) -> dict[str, Any]:
    """One that ended, and what an engine makes of its restart policy."""
    when = MOMENTS[moment]
    again = policy in ("always", "unless-stopped") or (policy == "on-failure" and code and moment != "away")
    if again:
        started = BACK if moment == "away" else when
        restarts = 0 if moment == "away" else 1  # an engine that starts does not count
        return container(policy, StartedAt=at(started), FinishedAt=at(when), restarts=restarts)
    return exited(policy, when, code, **state)


def exited(policy: str, when: float, code: int, **state: Any) -> dict[str, Any]:
    down = {"Running": False, "Status": "exited", "ExitCode": code, "FinishedAt": at(when)}
    return container(policy, **down, **state)


def looping(policy: str, moment: str) -> dict[str, Any]:
    if policy == "no" or (policy == "on-failure" and moment == "away"):
        return ended(policy, moment, 1)
    return container(policy, Restarting=True, Status="restarting", ExitCode=1, restarts=5)


def given_up(policy: str, moment: str) -> dict[str, Any]:
    """One that its policy restarted twice, which is what it does at most."""
    found = looping(policy, moment)
    if found["State"].get("Restarting"):
        return exited(policy, MOMENTS[moment], 1, restarts=2)
    return found


EVENTS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "ends well": lambda policy, moment: ended(policy, moment, 0),
    "ends with an error": lambda policy, moment: ended(policy, moment, 1),
    "runs out of memory": lambda policy, moment: ended(policy, moment, 137, OOMKilled=True),
    "is stopped by hand": lambda policy, moment: exited(policy, MOMENTS[moment], 143),
    "loops": looping,
    "loops, and gives up": given_up,
    "cannot be started": lambda policy, moment: exited(
        policy, MOMENTS[moment], 128, Error="network not found"
    ),
    "is paused": lambda policy, _: container(policy, Paused=True, Status="paused"),
    "is unhealthy": lambda policy, _: container(policy, Health={"Status": "unhealthy"}),
    "is being removed": lambda policy, moment: (
        exited(policy, MOMENTS[moment], 0) | {"State": {"Status": "removing", "Dead": True}}
    ),
    "is restarted by hand": lambda policy, moment: container(policy, StartedAt=at(MOMENTS[moment])),
    "goes on": lambda policy, _: container(policy),
}

# What is expected: by the event, whether the engine was away when it happened, and the restart policy.
ALWAYS = ("always", "unless-stopped")
EXPECTED: dict[str, dict[bool, dict[str, str]]] = {
    "ends well": {
        False: dict.fromkeys(POLICIES, TOLD),
        True: {"no": SILENT, "on-failure": SILENT, **dict.fromkeys(ALWAYS, RUNS)},
    },
    "ends with an error": {
        False: dict.fromkeys(POLICIES, TOLD),
        True: {"no": COUNTS, "on-failure": COUNTS, **dict.fromkeys(ALWAYS, RUNS)},
    },
    "runs out of memory": {
        False: dict.fromkeys(POLICIES, TOLD),
        True: {"no": COUNTS, "on-failure": COUNTS, **dict.fromkeys(ALWAYS, RUNS)},
    },
    "is stopped by hand": {False: dict.fromkeys(POLICIES, TOLD), True: dict.fromkeys(POLICIES, COUNTS)},
    "loops": {
        False: {"no": TOLD, "on-failure": COUNTS, **dict.fromkeys(ALWAYS, COUNTS)},
        True: dict.fromkeys(POLICIES, COUNTS),
    },
    "loops, and gives up": {
        False: {"no": TOLD, "on-failure": COUNTS, **dict.fromkeys(ALWAYS, COUNTS)},
        True: dict.fromkeys(POLICIES, COUNTS),
    },
    "cannot be started": {away: dict.fromkeys(POLICIES, COUNTS) for away in (False, True)},
    "is paused": {away: dict.fromkeys(POLICIES, TOLD) for away in (False, True)},
    "is unhealthy": {away: dict.fromkeys(POLICIES, RUNS) for away in (False, True)},
    "is being removed": {away: dict.fromkeys(POLICIES, TOLD) for away in (False, True)},
    "is restarted by hand": {away: dict.fromkeys(POLICIES, RUNS) for away in (False, True)},
    "goes on": {away: dict.fromkeys(POLICIES, RUNS) for away in (False, True)},
}
CASES = list(itertools.product(EVENTS, MOMENTS, POLICIES))


def expected(event: str, moment: str, policy: str) -> str:
    return EXPECTED[event][moment == "away"][policy]


def before(policy: str = "no", **state: Any) -> dict[str, Any]:
    healthy = container(policy, Health={"Status": "healthy"}, **state)
    return containers.known(healthy, now=SEEN)


def kind(verdict: containers.Verdict) -> str:
    if verdict.lost or verdict.failing:
        return COUNTS
    if verdict.runs and not verdict.note.endswith("restarted"):
        return RUNS
    return TOLD if verdict.note else SILENT


@pytest.mark.parametrize(("event", "moment", "policy"), CASES)
def test_a_container_is_a_problem_depending_on_event_time_and_restart_policy(
    event: str, moment: str, policy: str
) -> None:
    verdict = containers.judge(before(policy), EVENTS[event](policy, moment), away=AWAY, now=NOW)
    assert kind(verdict) == expected(event, moment, policy), verdict
    assert not verdict.undecided
    if kind(verdict) == TOLD or event == "is unhealthy":
        assert verdict.note.startswith("web ")


def test_a_problem_names_the_time_and_the_reason() -> None:
    def note(event: str) -> str:
        return containers.judge(before(), EVENTS[event]("no", "after"), away=AWAY, now=NOW).note

    assert note("ends with an error") == (
        "web ended by itself at 00:17:00 UTC (exit code 1), while the engine ran"
    )
    assert "(exit code 137, out of memory)" in note("runs out of memory")


@pytest.mark.parametrize("policy", ["no", "always"])
def test_a_container_that_the_run_may_stop_is_a_problem_only_if_its_policy_restarts_it(policy: str) -> None:
    found = exited(policy, MOMENTS["away"], 137)
    verdict = containers.judge(before(policy), found, away=AWAY, stopped=True, now=NOW)
    assert verdict.lost is (policy == "always")


@pytest.mark.parametrize(("event", "moment", "policy"), CASES)
def test_what_a_run_has_stopped_has_to_run_again_once_the_run_is_undone(
    event: str, moment: str, policy: str
) -> None:
    found = EVENTS[event](policy, moment)
    verdict = containers.judge(before(policy), found, away=AWAY, undone=True, now=NOW)
    state = found["State"]
    down = "Running" not in state or not (state["Running"] or state.get("Restarting"))
    by_the_run = moment == "away" or (moment == "after" and state.get("ExitCode"))
    if down and by_the_run and event != "is being removed":
        assert verdict.lost
    else:
        assert kind(verdict) == expected(event, moment, policy), verdict


@pytest.mark.parametrize("event", ["loops", "loops, and gives up", "ends with an error", "ends well"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_container_that_restarted_before_is_not_a_problem(event: str, policy: str, moment: str) -> None:
    restless = before(policy, restarts=7, StartedAt=at(SEEN - 20))
    assert restless["restless"]
    found = EVENTS[event](policy, moment)
    found["RestartCount"] += 7
    assert kind(containers.judge(restless, found, away=AWAY, now=NOW)) == TOLD


def test_an_old_restart_does_not_make_a_container_restless() -> None:
    steady = before("always", restarts=7, StartedAt=at(SEEN - 100_000 % 990))
    assert not before("always", restarts=7, StartedAt=at(SEEN - 900))["restless"]
    found = container("always", Restarting=True, restarts=12)
    assert steady["restarts"] == 7
    verdict = containers.judge({**steady, "restless": False}, found, away=AWAY, now=NOW)
    assert verdict.failing


@pytest.mark.parametrize(("up", "undecided"), [(0.2, True), (2.5, True), (3.5, False)])
def test_a_container_that_has_just_restarted_is_checked_again(up: float, *, undecided: bool) -> None:
    found = container("always", restarts=1, StartedAt="1970-01-01T00:16:40Z", FinishedAt=at(NOW))
    verdict = containers.judge(before("always"), found, away=AWAY, now=1000 + up)
    assert (verdict.undecided, verdict.failing) == (undecided, False)


def test_ended_swarm_tasks_are_not_reported() -> None:
    task = {**before(), "task": True}
    for event, moment in itertools.product(("ends with an error", "is stopped by hand"), MOMENTS):
        assert kind(containers.judge(task, EVENTS[event]("no", moment), away=AWAY, now=NOW)) == SILENT


@pytest.mark.parametrize(
    ("exceptions", "hit"),
    [
        (["web"], True),
        (["we", "webs", ""], False),
        (["label=role"], True),
        (["label=role=batch"], True),
        (["label=role=other"], False),
        (["label=none"], False),
        (["label="], False),
        (["service=front"], True),
        (["service=shop/front"], True),
        (["service=other/front"], False),
        (["service="], False),
        (["other", "service=front"], True),
        ([], False),
    ],
)
def test_containers_are_excepted_by_name_label_or_service(exceptions: list[str], *, hit: bool) -> None:
    labels = {
        "role": "batch",
        "com.docker.compose.service": "front",
        "com.docker.compose.project": "shop",
    }
    assert containers.excepted({"Name": "/web", "Config": {"Labels": labels}}, exceptions) is hit
    assert not containers.excepted({"Name": "/db", "Config": {"Labels": None}}, exceptions)


class Engine:
    """Answers with what became of each container."""

    def __init__(self, found: dict[str, dict[str, Any]]) -> None:
        self.found = found
        self.started: list[str] = []

    def inspect(self, name: str) -> dict[str, Any]:
        if name not in self.found:
            raise NotFound(name)
        return self.found[name]

    def start(self, name: str) -> None:
        self.started.append(name)


@pytest.mark.parametrize("stride", range(1, 8))
def test_the_result_for_a_container_does_not_depend_on_other_containers(
    stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    chosen = {f"c{number}": case for number, case in enumerate(CASES[::stride])}
    pictures = {name: {**before(policy), "name": name} for name, (_, _, policy) in chosen.items()}
    pictures |= {"removed": {**before(), "name": "removed"}, "old": {**before(), "name": "shop-web-1"}}
    engine: Any = Engine(
        {name: EVENTS[event](policy, moment) for name, (event, moment, policy) in chosen.items()}
    )
    engine.found["shop-web-1"] = container("always")  # what compose has put in its place
    running, problems, notes = health._containers(
        engine, pictures, away=AWAY, stopped=False, undone=False, last=True
    )
    counting = {name for name, case in chosen.items() if expected(*case) == COUNTS}
    named = {name for name in pictures if any(note.startswith(f"{name} ") for note in notes)}
    told = {name for name, case in chosen.items() if expected(*case) == TOLD or case[0] == "is unhealthy"}
    assert named == told | {"removed"}
    assert {loss.name for loss in problems} == counting
    assert {name for name, case in chosen.items() if expected(*case) == RUNS} <= set(running)
    assert not counting & set(running)
    # What ended by itself is not started by a rollback: a job would be done twice.
    monkeypatch.setattr(health, "Engine", lambda _: engine)
    health.revive({"engine": "", "containers": pictures}, away=AWAY)
    assert set(engine.started) <= counting


class Stubborn(Engine):
    """An engine that answers late, and whose containers end as soon as they have started."""

    path = "/run/docker.sock"

    def __init__(self, found: dict[str, dict[str, Any]], *, absent: int, stays: bool) -> None:
        super().__init__(found)
        self.absent = absent
        self.stays = stays

    def info(self) -> dict[str, Any] | None:
        return None if self.absent else {}

    def inspect(self, name: str) -> dict[str, Any]:
        if self.absent:
            raise NoAnswer("no such socket")
        return super().inspect(name)

    def start(self, name: str) -> None:
        super().start(name)
        self.found[name] = container("no") if self.stays else exited("no", NOW, 1)

    def pause(self, _: float) -> None:
        self.absent = max(0, self.absent - 1)


@pytest.mark.parametrize("absent", [0, 3, 30])
@pytest.mark.parametrize("stays", [True, False])
def test_a_rollback_starts_each_container_once_and_names_what_does_not_stay_up(
    monkeypatch: pytest.MonkeyPatch, absent: int, *, stays: bool
) -> None:
    engine = Stubborn({"job": exited("no", MOMENTS["away"], 0)}, absent=absent, stays=stays)
    clock = iter(range(10_000))
    monkeypatch.setattr(health, "Engine", lambda _: engine)
    monkeypatch.setattr(
        health,
        "time",
        SimpleNamespace(monotonic=lambda: next(clock), sleep=engine.pause, time=lambda: NOW),
    )
    monkeypatch.setattr(containers, "lost", lambda *_: [])
    baseline = {
        "engine": engine.path,
        "containers": {name: {**before(), "name": name} for name in ("job", "with --rm")},
        "services": {},
        "ports": [],
        "networks": [],
        "login": 0,
    }
    problems, _ = health.recover(baseline, seconds=60, undone=True, away=AWAY)
    assert engine.started == ["job"]
    lost = [] if stays else ["no longer running: 1 containers (job)"]
    assert problems == [*lost, "with --rm was removed meanwhile"]
