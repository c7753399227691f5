"""What is seen of a host's health, on a real engine with real networks."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import health, probes
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine

from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until

NOBODY_LISTENS = 1


def picture(engine: Dockerd, **options: Any) -> dict[str, Any]:
    return health.take_baseline(Engine(str(engine.socket)), login_port=options.get("login_port", 0))


def problems(seen: dict[str, Any], **options: Any) -> list[str]:
    return health.compare(seen, **{"seconds": 0, **options})[0]


def publishing(engine: Dockerd, name: str, address: str, **config: Any) -> str:
    """A container with a web server, its port 80 published where there is room."""
    bindings = {"80/tcp": [{"HostIp": address, "HostPort": "0"}]}
    container = engine.run(
        name,
        command=["httpd", "-f", "-p", "80"],
        host_config={"PortBindings": bindings},
        ExposedPorts={"80/tcp": {}},
        **config,
    )
    seen = engine.api("GET", f"/containers/{container}/json")
    (binding,) = seen["NetworkSettings"]["Ports"]["80/tcp"]
    target = health._reachable(address), int(binding["HostPort"])
    assert until(lambda: probes.answering([target])), f"{target} never answered"
    return container


def test_a_host_without_containers_has_no_problem(engine: Dockerd) -> None:
    seen = picture(engine)
    assert (seen["containers"], seen["ports"], seen["networks"]) == ({}, [], [])
    assert problems(seen) == []


def test_without_an_engine_only_the_port_of_the_ssh_connection_is_checked(engine: Dockerd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = health.take_baseline(None, login_port=port)
        assert seen["login"] == port
        assert problems(seen) == []
    assert problems(seen) == [f"nothing listens any more on port {port}, to which this run is connected"]
    assert health.take_baseline(None, login_port=NOBODY_LISTENS)["login"] == 0  # it came by something else


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_published_port_that_no_longer_answers_is_a_problem(engine: Dockerd, address: str) -> None:
    publishing(engine, "web", address)
    seen = picture(engine)
    (port,) = seen["ports"]
    assert (port["name"], port["relayed"]) == ("web", False)
    assert problems(seen) == []
    drop = ("--protocol", "tcp", "--dport", "80", "--syn", "--jump", "DROP")
    inside = str(engine.api("GET", "/containers/web/json")["State"]["Pid"])
    subprocess.run(["nsenter", "-t", inside, "-n", "iptables", "-A", "INPUT", *drop], check=True)
    found = problems(seen)
    if address == "127.0.0.1":
        assert found == []  # the engine's proxy takes it, as it did before
    else:
        assert found == [f"web: the published port {port['published']} no longer answers"]


def test_a_lost_port_that_only_the_userland_proxy_forwarded_is_a_note_if_it_was_named(
    engine: Dockerd,
) -> None:
    publishing(engine, "web", "::1")
    seen = picture(engine)
    (port,) = seen["ports"]
    assert port["relayed"]
    port["port"] = NOBODY_LISTENS
    (found,) = problems(seen)
    assert "userland proxy" in found
    named = health.Terms(foreseen=[f"{port['published']} (web)"])
    assert problems({**seen, "terms": named._asdict()}) == []


def test_ended_containers_are_a_problem_until_they_run_again(engine: Dockerd) -> None:
    engine.run("job")
    engine.run("done", command=["sleep", "1000"])
    seen = picture(engine)
    begin = time.time()
    engine.api("POST", "/containers/job/kill")
    engine.api("DELETE", "/containers/done?force=1")  # it is gone, and nobody expects it
    away = [[begin, time.time()]]  # as if they had ended with the engine
    assert problems(seen, away=away) == ["no longer running: 1 containers (job)"]
    assert problems(seen, away=away, stopped=True) == []  # it has no restart policy
    health.revive(seen)
    notes = health.compare(seen, seconds=0)[1]
    assert [note.split(" at ")[0] for note in sorted(notes)] == [
        "done was removed meanwhile",
        "job ended by itself",
    ]
    health.revive(seen, away=away)
    assert health.compare(seen, seconds=0, away=away) == ([], ["done was removed meanwhile"])


@pytest.mark.parametrize(("policy", "missed"), [("unless-stopped", True), ("no", False)])
def test_a_finished_container_is_a_problem_if_its_policy_restarts_it(
    engine: Dockerd, policy: str, *, missed: bool
) -> None:
    ends_well = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    restart = {"RestartPolicy": {"Name": policy}}
    engine.run("app", command=ends_well, StopSignal="SIGTERM", host_config=restart)
    seen = picture(engine)
    begin = time.time()
    engine.api("POST", "/containers/app/stop")  # as an engine does that takes its containers along
    assert engine.api("GET", "/containers/app/json")["State"]["ExitCode"] == 0
    away = [[begin, time.time()]]
    assert problems(seen, away=away) == (["no longer running: 1 containers (app)"] if missed else [])
    # Where it was stopped by a run that is undone, it runs again in any case.
    assert health.recover(seen, seconds=10, undone=True, away=away) == ([], [])
    assert engine.api("GET", "/containers/app/json")["State"]["Running"]


def kill(engine: Dockerd, name: str) -> None:
    """End a container from within, as far as its engine can see."""
    pid = str(engine.api("GET", f"/containers/{name}/json")["State"]["Pid"])
    subprocess.run(["kill", "-KILL", pid], check=True)


def test_one_restart_is_a_note_and_continued_restarts_are_a_problem(engine: Dockerd) -> None:
    engine.run("app", host_config={"RestartPolicy": {"Name": "always"}})
    seen = picture(engine)
    kill(engine, "app")
    assert until(lambda: engine.api("GET", "/containers/app/json")["RestartCount"] == 1)
    assert health.compare(seen, seconds=10) == ([], ["app ended by itself, and was restarted"])
    assert until(lambda: engine.api("GET", "/containers/app/json")["State"]["Running"])
    kill(engine, "app")
    expected = "ended and restarted: 1 containers (app)"
    assert until(lambda: expected in problems(seen))  # its network may be missed first
    again = picture(engine)
    (restless,) = again["containers"].values()
    assert restless["restless"]
    assert problems(again) == []


@pytest.fixture
def surviving() -> Iterator[Dockerd]:
    """An engine whose containers survive its restart."""
    with Dockerd(config={"live-restore": True}) as engine:
        yield engine


def test_a_container_that_the_run_ended_is_a_problem_and_one_that_exited_itself_a_note(
    surviving: Dockerd,
) -> None:
    surviving.run("steady")
    surviving.run("harmed")
    surviving.run("fragile", host_config={"RestartPolicy": {"Name": "always"}})
    surviving.run("job", command=["sh", "-c", "until test -e /go; do sleep 0.1; done; exit 3"])
    seen = picture(surviving)
    away = [[time.time(), 0.0]]
    harmed = str(surviving.api("GET", "/containers/harmed/json")["State"]["Pid"])
    surviving.stop()
    subprocess.run(["kill", "-KILL", harmed], check=True)
    surviving.start()
    away[0][1] = time.time()
    assert problems(seen, away=away) == ["no longer running: 1 containers (harmed)"]
    surviving.docker("exec", "job", "touch", "/go")
    health.revive(seen, away=away)
    assert until(lambda: not surviving.api("GET", "/containers/job/json")["State"]["Running"])
    found, notes = health.compare(seen, away=away)
    assert (found, len(notes)) == ([], 1)
    assert notes[0].startswith("job ended by itself at ")
    assert notes[0].endswith("(exit code 3), while the engine ran")


def test_excepted_containers_are_not_checked(engine: Dockerd) -> None:
    publishing(engine, "web", "127.0.0.1", labels={"com.docker.compose.service": "front"})
    engine.run("other")
    seen = health.take_baseline(Engine(str(engine.socket)), login_port=0, exceptions=["service=front"])
    assert [each["name"] for each in seen["containers"].values()] == ["other"]
    assert seen["ports"] == []


def gateway(engine: Dockerd) -> str:
    """The host, as containers of the default network see it."""
    return str(engine.api("GET", "/networks/bridge")["IPAM"]["Config"][0]["Gateway"])


@contextmanager
def name_server(address: str, code: int = 0) -> Iterator[None]:
    """Answers every question on UDP, and takes connections on TCP."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as questions,
        socket.create_server((address, 53)),
    ):
        questions.bind((address, 53))
        questions.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    question, sender = questions.recvfrom(4096)
                except TimeoutError:
                    continue
                questions.sendto(question[:2] + bytes([0x81, 0x80 | code]) + question[4:], sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_containers_that_can_no_longer_resolve_or_connect_are_a_problem(engine: Dockerd) -> None:
    bridge = gateway(engine)
    engine.run("app", host_config={"Dns": [bridge]})
    with name_server(bridge):
        seen = picture(engine)
        assert [(each["network"], each["resolving"], each["answering"]) for each in seen["networks"]] == [
            ("bridge", {bridge: 2}, [[bridge, 53]])
        ]
        assert problems(seen) == []
    with name_server(bridge, code=2):  # SERVFAIL
        (found,) = problems(seen)
        assert "can no longer resolve names by" in found
    where = "containers of the network bridge (seen from app)"
    assert problems(seen) == [
        f"{where} can no longer resolve names by {bridge}",
        f"{where} can no longer reach {bridge} port 53",
    ]


def test_a_container_that_returns_during_a_slow_check_is_not_a_problem(engine: Dockerd) -> None:
    bridge = gateway(engine)
    engine.run("app", host_config={"Dns": [bridge]})
    with name_server(bridge), socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = picture(engine, login_port=port)
    assert seen["login"] == port
    back = socket.socket()
    back.bind(("127.0.0.1", port))
    with back, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((bridge, 53))  # the look waits for it
        timer = threading.Timer(1, back.listen)
        timer.start()
        found = problems(seen, seconds=0.5)
        timer.join()
    assert any("resolve names" in each for each in found)
    assert not any("to which this run is connected" in each for each in found)


def test_what_does_not_answer_before_the_change_is_named(engine: Dockerd) -> None:
    bindings = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "0"}]}
    engine.run("web", host_config={"PortBindings": bindings}, ExposedPorts={"80/tcp": {}})
    engine.run("app", host_config={"Dns": [gateway(engine)]})
    port, network = health.silent(picture(engine))
    assert port.startswith("web: the published port 0.0.0.0:")
    assert network.startswith("a name server of containers of the network bridge (seen from ")


def test_networks_that_had_no_external_access_before_the_run_are_not_checked(engine: Dockerd) -> None:
    engine.run("app", host_config={"Dns": [gateway(engine)]})
    engine.run("lonely", host_config={"NetworkMode": "none"})
    engine.run("native", host_config={"NetworkMode": "host"})
    seen = picture(engine)
    assert seen["networks"] == []
    assert problems(seen) == []
