"""Which containers can be started before and after a change, on a real engine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import start_trials
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.converge.start_trials import Starts, clear

from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until

TOO_MANY_FILES = {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 2000000000, "Hard": 2000000000}}}


@pytest.fixture
def engine() -> Iterator[Dockerd]:
    with Dockerd(flags=("--iptables=false", "--bridge=none"), config={"live-restore": True}) as started:
        yield started


def configured(engine: Dockerd, keys: Mapping[str, Any]) -> None:
    """Restart the engine with further keys; its containers keep running."""
    engine.stop()
    engine.config_file.write_text(json.dumps({**json.loads(engine.config_file.read_text()), **keys}))
    engine.start()


def left(engine: Dockerd) -> list[str]:
    containers = [each["Names"][0] for each in engine.api("GET", "/containers/json?all=1")]
    images = [tag for each in engine.api("GET", "/images/json") for tag in each["RepoTags"] or ()]
    return [name for name in containers + images if "hardener" in name]


def test_limits_with_which_no_container_starts_are_found(engine: Dockerd) -> None:
    own = {"Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 64}]}
    engine.run("limited", host_config={"NetworkMode": "none", **own})
    starts = Starts(Engine(str(engine.socket)), "r1")
    starts.try_before()
    assert starts.problems() == []
    configured(engine, TOO_MANY_FILES)
    (problem,) = starts.problems()  # the container with limits of its own still starts
    assert problem.startswith("a new container does not start any more: ")
    assert "rlimit" in problem
    assert starts.notes == []
    assert left(engine) == []


def test_a_kind_that_did_not_start_before_is_no_problem_afterwards(engine: Dockerd) -> None:
    engine.run("web", host_config={"NetworkMode": "none"})
    configured(engine, TOO_MANY_FILES)
    starts = Starts(Engine(str(engine.socket)), "r1")
    starts.try_before()
    assert starts.problems() == []


def test_a_runtime_that_is_gone_is_found_by_the_container_that_has_it(engine: Dockerd) -> None:
    configured(engine, {"runtimes": {"own": {"path": "runc"}}})
    engine.run("web", host_config={"NetworkMode": "none", "Runtime": "own"})
    starts = Starts(Engine(str(engine.socket)), "r1")
    starts.try_before()
    configured(engine, {"runtimes": {"own": {"path": "/nowhere/runc"}}})
    (problem,) = starts.problems()
    assert problem.startswith("a container like web does not start any more: ")


def test_what_a_killed_run_has_left_is_removed(engine: Dockerd) -> None:
    labels = {"hardener.try": "r1"}
    engine.run("hardener-try-r1-0", labels=labels, host_config={"NetworkMode": "none"})
    engine.run("web", labels=labels, host_config={"NetworkMode": "none"})  # its image may have any label
    engine.build("site:1", "FROM busybox:test\nLABEL hardener.try=r1")
    clear(Engine(str(engine.socket)))
    assert [each["Names"] for each in engine.api("GET", "/containers/json?all=1")] == [["/web"]]
    assert "site:1" in [tag for each in engine.api("GET", "/images/json") for tag in each["RepoTags"] or ()]


@pytest.mark.parametrize("state", ["Running", "RemovalInProgress"])
def test_an_engine_removes_what_a_loss_of_power_has_left(
    engine: Dockerd, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(start_trials, "clear", lambda _engine: None)
    Starts(Engine(str(engine.socket)), "r1").try_before()
    (container,) = engine.api("GET", "/containers/json?all=1")
    process = engine.api("GET", f"/containers/{container['Id']}/json")["State"]["Pid"]
    engine.stop()
    os.kill(process, signal.SIGKILL)
    config = engine.data_root / "containers" / container["Id"] / "config.v2.json"
    stored = json.loads(config.read_text())
    config.write_text(json.dumps({**stored, "State": {**stored["State"], state: True}}))
    engine.start()
    assert until(lambda: engine.api("GET", "/containers/json?all=1") == [])


def test_an_engine_that_does_not_answer_any_more_is_a_problem(engine: Dockerd) -> None:
    starts = Starts(Engine(str(engine.socket)), "r1")
    starts.try_before()
    engine.stop()
    (problem,) = starts.problems()
    assert problem.startswith("no container can be created any more: ")
