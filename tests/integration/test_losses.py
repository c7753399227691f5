"""Losses that the plan foresees, and those that a real engine shows after its configuration has changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import health, probes
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.docker import losses
from ansible_collections.hardener.docker.plugins.module_utils.docker.losses import Offer

from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until

INSECURE = {"insecure-registries": ["old:5000", "10.1.2.3/8"]}
NAMES = ("web", "db", "app")


@pytest.fixture
def changing() -> Iterator[Dockerd]:
    with Dockerd(config=INSECURE) as engine:
        yield engine


def serving(engine: Dockerd, name: str, **host_config: Any) -> None:
    engine.run(
        name,
        command=["httpd", "-f", "-p", "80"],
        host_config=host_config,
        ExposedPorts={"80/tcp": {}},
    )


def inspected(engine: Dockerd) -> list[dict[str, Any]]:
    return [engine.api("GET", f"/containers/{name}/json") for name in NAMES]


def published(engine: Dockerd) -> list[tuple[str, int]]:
    found = [health._published(container) for container in inspected(engine)]
    return [health._target(port) for ports in found for port in ports]


def _sorted_answers(targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(probes.answering(targets))


def reached(engine: Dockerd) -> set[str]:
    """Which containers reach which on the default bridge."""
    seen = {each["Name"].lstrip("/"): each for each in inspected(engine)}
    address = {
        name: each["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for name, each in seen.items()
    }
    found = set()
    for name, each in seen.items():
        others = [(address[other], 80) for other in seen if other != name]
        answers = probes.inside({name: (each["State"]["Pid"], partial(_sorted_answers, others))})
        there = {tuple(target) for target in answers.get(name, ())}
        found |= {f"{name}>{other}" for other in seen if (address[other], 80) in there}
    return found


def test_the_losses_of_a_changed_configuration_are_those_that_were_foreseen(changing: Dockerd) -> None:
    engine = changing
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "18080"}, {"HostIp": "::1", "HostPort": "18081"}]}
    serving(engine, "web", PortBindings=ports)
    serving(engine, "db")
    serving(engine, "app", Links=["/db:/app/db"])
    targets = published(engine)
    assert len(targets) == 2
    assert until(lambda: probes.answering(targets) == set(targets))
    assert until(lambda: len(reached(engine)) == 6)
    baseline = health.take_baseline(Engine(str(engine.socket)), login_port=0)
    wanted = {"icc": False, "userland-proxy": False, "insecure-registries": ["old:5000"]}
    version = (26, 1)
    before = Offer(inspected(engine), registries=losses.insecure(INSECURE["insecure-registries"], version))
    after = before._replace(icc=False, proxy=False, registries=losses.insecure(["old:5000"], version))
    foreseen = losses.lost(before, after)

    engine.stop()
    engine.configure(wanted)
    engine.start()
    for name in ("db", "web", "app"):
        engine.api("POST", f"/containers/{name}/start")
    works = {target for target in targets if ":" not in target[0]}
    assert until(lambda: probes.answering(targets) == works)
    now = reached(engine)
    assert now == {"app>db"}  # by its link
    terms = health.Terms(foreseen=[loss.text for loss in foreseen])

    def problems(**given: Any) -> list[str]:
        return health.compare({**baseline, "networks": [], **given}, seconds=0)[0]

    told = "; ".join(problems())
    assert "the published port [::1]:18081 no longer answers" in told
    assert "images are no longer pulled from 10.0.0.0/8" in told
    assert "18080" not in told
    assert "old:5000" not in told
    assert problems(terms=terms._asdict()) == []
    assert {(loss.part, loss.text) for loss in foreseen} == {
        (losses.PORTS, "[::1]:18081 (web)"),
        (losses.REGISTRIES, "10.0.0.0/8"),
        *((losses.NETWORKS, name) for name in NAMES),
    }
