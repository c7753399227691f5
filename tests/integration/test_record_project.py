"""A project of docker compose, recorded by twins of its services that have each other for company."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import prove

from hardener.workload.artefacts import artefacts
from hardener.workload.profile import make
from hardener.workload.recording import Recording, load
from tests.integration.dockerd import Dockerd
from tests.integration.twinning import (
    BESIDE,
    begin,
    begin_proof,
    end,
    end_all,
    leaves_nothing,
    names,
    twins,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.xdist_group("recorder")  # the kernel has one list of programs

COMPOSE = """
name: shop
x-service: &service
  image: shop:${TAG:?the image has a tag}
  stop_signal: SIGKILL
services:
  web: # answers with what the application says
    <<: *service
    command: [httpd, -f, -p, "80", -h, /web]
    depends_on: [app]
    ports: ["127.0.0.1::80"]
    networks: [front]
  app: # asks the queue, by an alias that it has in one of two networks
    <<: *service
    command: [httpd, -f, -p, "8000", -h, /app]
    depends_on: {queue: {condition: service_healthy}}
    environment: {QUEUE: "http://orders.internal:9000"}
    expose: ["8000"]
    networks: [front, back]
    volumes: ["orders:/seen:ro"]
  queue: # gives each order once
    <<: *service
    command: [sh, -c, "[ -e /orders/list ] || echo none >/orders/list; exec httpd -f -p 9000 -h /queue"]
    healthcheck:
      test: [CMD, busybox, wget, -qO-, "http://127.0.0.1:9000/alive"]
      interval: 1h
      start_period: 1h
      start_interval: 200ms
    networks: {back: {aliases: [orders.internal]}}
    volumes: ["orders:/orders"]
  debugger:
    <<: *service
    profiles: [debug]
networks: {front: {}, back: {internal: true}}
volumes: {orders: {}}
"""
MORE = """
services:
  web: {environment: {TOKEN: planted-secret}}
"""
CGI = "#!/bin/sh\necho 'Content-Type: text/plain'; echo; "
FILES = {
    "web/index": "web\n",
    "web/cgi-bin/shop": f"{CGI} busybox wget -qO- http://app:8000/cgi-bin/take",
    "app/cgi-bin/take": f"{CGI} busybox wget -qO- $QUEUE/cgi-bin/pop; busybox wc -l </seen/list",
    "queue/alive": "yes\n",
    "queue/cgi-bin/pop": f"{CGI} busybox head -n 1 /orders/list; busybox sed -i 1d /orders/list",
}
ORDERS = "one\ntwo\nthree\n"


class Shop(NamedTuple):
    """A project that runs."""

    engine: Dockerd
    folder: Path

    @property
    def orders(self) -> Path:
        """The list of the queue, on the host."""
        return Path(self.engine.api("GET", "/volumes/shop_orders")["Mountpoint"]) / "list"

    @property
    def files(self) -> list[str]:
        """The arguments that name its compose files."""
        return ["--compose", str(self.folder / "compose.yaml"), "--compose", str(self.folder / "more.yaml")]

    def environment(self) -> dict[str, str]:
        """Variables of a shell in which it is worked with."""
        return {**BESIDE, "DOCKER_HOST": self.engine.host, "TAG": "test"}

    def compose(self, *words: str) -> None:
        """Run docker compose on it."""
        subprocess.run(
            ["docker", "compose", "-f", "compose.yaml", "-f", "more.yaml", *words],
            cwd=self.folder,
            env=self.environment(),
            check=True,
            capture_output=True,
            timeout=300,
        )

    def record(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command on it."""
        return subprocess.run(
            [sys.executable, "-m", "hardener", "workload", "record", *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def shop(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "more.yaml").write_text(MORE)
    dockerd.build("shop:test", "FROM busybox:test\nADD . /", {k: v.encode() for k, v in FILES.items()})
    project = Shop(dockerd, folder)
    project.compose("up", "--detach")
    assert until(project.orders.exists)
    project.orders.write_text(ORDERS)
    yield project
    project.compose("down", "--volumes")


@contextmanager
def untouched(shop: Shop) -> Iterator[None]:
    """Containers, volume and engine are afterwards as before, and the kernel has no program of ours."""

    def state() -> tuple[Any, ...]:
        listed = shop.engine.api("GET", "/containers/json?all=1")
        found = [shop.engine.api("GET", f"/containers/{each['Id']}/json") for each in listed]
        for each in found:
            each["State"].pop("Health", None)  # the engine goes on looking
        return found, shop.orders.read_text(), shop.orders.stat().st_mtime_ns, names(shop.engine)

    before = state()
    with leaves_nothing():
        yield
    assert state() == before


@pytest.fixture(scope="module")
def recorded(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """All services, recorded by the command."""
    folder = tmp_path_factory.mktemp("recorded")
    command = (
        f"curl -fsS $HARDENER_ADDR_web_80/cgi-bin/shop >{folder}/said && curl -fsS $HARDENER_ADDR_80/index"
    )
    with untouched(shop):
        done = shop.record(*shop.files, "--run", command, "--out", str(folder / "out"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert (folder / "said").read_text() == "one\n2\n"  # of copies, which two services share
    paths = sorted((folder / "out").iterdir())
    assert [re.sub(r"@\d{8}T\d{6}Z-[0-9a-f]{8}", "", path.name) for path in paths] == [
        f"recording-shop-{service}.json" for service in ("app", "queue", "web")
    ]
    assert "planted-secret" not in "".join(path.read_text() for path in paths) + done.stdout + done.stderr
    return {found.container.compose.service: found for found in map(load, paths) if found.container.compose}


def test_each_service_of_the_project_is_exercised_during_the_recording(
    recorded: dict[str, Recording],
) -> None:
    reasons = {}
    for service, found in recorded.items():
        assert found.recorder.complete, found.recorder.missing
        assert found.twin.network == "own"
        assert set(found.twin.companions) == recorded.keys() - {service}
        (serve,) = (phase for phase in found.phases if phase.name == "serve")
        assert serve.exercised
        reasons[service] = serve.reason
    assert reasons["web"] == "connections reached the twin"
    assert reasons["app"] == reasons["queue"]
    assert reasons["queue"].startswith("the exercise reached another twin")


def test_calls_of_one_service_are_not_in_the_recording_of_another(recorded: dict[str, Recording]) -> None:
    ran = {
        service: {name for call in found.calls["x86_64"].values() for name in call.programs}
        for service, found in recorded.items()
    }
    scripts = {"web": "shop", "app": "take", "queue": "pop"}
    for service, programs in ran.items():
        assert programs & set(scripts.values()) == {scripts[service]}
    assert [found.network.connects for found in (recorded["app"], recorded["web"])] == [True, True]
    # The health check of the queue is a phase of the queue alone.
    for service, found in recorded.items():
        seen = {phase for call in found.calls["x86_64"].values() for phase in call.phases}
        assert ("health-check" in seen) is (service == "queue")


def test_a_complete_profile_is_made_from_each_recording(recorded: dict[str, Recording]) -> None:
    for service, found in recorded.items():
        assert make([(service, found)]).merged.complete


def test_one_service_is_recorded_among_copies_of_the_others(shop: Shop) -> None:
    with untouched(shop):
        begun = begin(shop.engine, "shop-queue-1")
        assert begun["addresses"].keys() == {"app_8000", "web_80"}
        assert fetch(begun["addresses"]["web_80"]) == "one\n2\n"
        found = end(begun)
    assert found.twin.companions == ("app", "web")
    assert "serve" in found.exercised
    assert found.container.compose is not None
    assert found.container.compose.service == "queue"


def test_one_service_is_proven_among_copies_of_the_others_in_a_network_where_the_host_has_no_address(
    shop: Shop,
) -> None:
    """The exercise reaches another service, as where a worker has no port; copies begin anew each time."""
    trial = {
        "kind": "before",
        "confinement": None,
        "starts": 1,
        "whole": False,
        "empty": False,
        "seconds": 10,
    }
    with untouched(shop):
        begun = begin_proof(shop.engine, container="shop-queue-1", seconds=60)
        assert begun["addresses"].keys() == {"app_8000", "web_80", "80", "8000"}
        run: dict[str, Any] = {"run": begun["run"]}
        for _ in range(2):
            assert prove.attempt({**run, "exercise": {"seconds": 0.1}, "trial": trial})["up"]
            assert fetch(begun["addresses"]["web_80"]) == "one\n2\n"
            assert host_addresses(shop.engine, begun["run"]) == ""
        seen = prove.attempt({**run, "exercise": {"seconds": 0.1}, "trial": None})["observed"]
    (serve,) = (each for each in seen["phases"] if each["name"] == "serve")
    assert serve["exercised"]
    assert serve["reason"].startswith("the exercise reached another twin")


def host_addresses(engine: Dockerd, run: str) -> str:
    """The addresses that the host has in the networks of the twins."""
    found = ""
    for network in engine.api("GET", "/networks"):
        if run in network["Name"]:
            bridge = f"br-{network['Id'][:12]}"
            words = ["ip", "-4", "-o", "address", "show", "dev", bridge]
            found += subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return found


def test_a_twin_in_the_network_of_its_original_reaches_the_other_services(shop: Shop) -> None:
    pop = ["busybox", "wget", "-qO-", "http://orders.internal:9000/cgi-bin/pop"]
    begun = begin(shop.engine, "shop-app-1", network="same", run_in=pop)
    found = end(begun)
    assert found.twin.network == "same"
    assert found.twin.companions == ()
    assert "serve" in found.exercised
    assert shop.orders.read_text() == "two\nthree\n"  # the original's
    shop.orders.write_text(ORDERS)


def test_two_recordings_run_at_once(shop: Shop) -> None:
    with untouched(shop):
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(lambda name: begin(shop.engine, name), ["shop-queue-1"] * 2)
        for begun in (one, other):
            assert fetch(begun["addresses"]["web_80"]) == "one\n2\n"
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(end, (one, other))
    assert first.calls["x86_64"].keys() == second.calls["x86_64"].keys()
    assert first.capabilities == second.capabilities
    made = [artefacts(make([("recording.json", each)]).document) for each in (first, second)]
    assert made[0]["apparmor"] == made[1]["apparmor"]


def test_a_twin_that_is_killed_during_the_exercise_is_reported_and_the_others_are_recorded(
    shop: Shop,
) -> None:
    with untouched(shop):
        begun = begin(shop.engine, compose={"project": "shop"})
        assert fetch(begun["addresses"]["web_80"]) == "one\n2\n"
        (killed,) = (each for each in twins(shop.engine, begun["run"]) if "/web" in each["Config"]["Cmd"])
        os.kill(killed["State"]["Pid"], signal.SIGKILL)
        (recordings, left) = (end_all(begun), twins(shop.engine, begun["run"]))
    assert left == []
    found = {each.container.compose.service: each for each in recordings if each.container.compose}
    assert found.keys() == {"web", "app", "queue"}
    phases = {phase.name: phase for phase in found["web"].phases}
    assert (phases["reload"].exercised, phases["reload"].reason) == (False, "the container had ended")
    assert (phases["serve"].exercised, phases["crash-restart"].exercised) == (False, False)
    assert phases["serve"].reason == "the twin ended during the exercise with code 137"
    assert phases["crash-restart"].reason == "the container had ended"
    assert any("the container had ended" in sentence for sentence in found["web"].recorder.missing)
    assert "bind" in found["web"].calls["x86_64"]  # what it did before
    for service, script in (("app", "take"), ("queue", "pop")):
        assert {"serve", "reload", "crash-restart", "stop"} <= set(found[service].exercised)
        assert any(script in call.programs for call in found[service].calls["x86_64"].values())


def test_a_stopped_project_is_reported(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: shop:test}}\n")
    for image in ("shop:test", "'${NO_SUCH:?is not set}'"):
        (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: {image}}}}}\n")
        done = shop.record("--compose", str(tmp_path / "compose.yaml"), "--out", str(tmp_path))
        assert done.returncode == 2
        message = "no running container belongs to this compose file (projects that run here: shop)"
        assert message in done.stderr
        warning = "hardener: warning: docker compose cannot read"
        assert (warning in done.stderr) is ("NO_SUCH" in image)


def fetch(address: str) -> str:
    return subprocess.run(
        ["curl", "-fsS", "--max-time", "10", f"http://{address}/cgi-bin/shop"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
