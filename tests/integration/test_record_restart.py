"""Containers of a real engine that are recorded themselves: restarted once, and left running."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import main, workspace
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine

from hardener.workload.profile import make as make_profile
from hardener.workload.recording import Recording, load
from tests.integration.dockerd import Dockerd
from tests.integration.twinning import BESIDE, begin, end, leaves_nothing, names, worker
from tests.integration.waiting import until

pytestmark = pytest.mark.xdist_group("recorder")  # the kernel has one list of programs

# Between the start of a recording and the restart, the first program makes a call that no other one makes.
SCRIPT = """
    [ -e /data/page ] || echo kept >/data/page
    echo x >>/data/starts
    trap 'busybox ln -f /data/page /data/ended; exit' TERM
    httpd -f -p 80 -h /data & wait
"""


@pytest.fixture
def made(dockerd: Dockerd) -> Iterator[Callable[..., str]]:
    """Starts containers that are removed afterwards."""
    started = []

    def run(name: str, **options: Any) -> str:
        started.append(name)
        dockerd.run(name, **options)
        return name

    yield run
    for name in started:
        if f"/{name}" in names(dockerd):
            dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")


@pytest.fixture(scope="module")
def web(dockerd: Dockerd) -> Iterator[str]:
    name = dockerd.run(
        "restarted",
        command=["sh", "-c", SCRIPT],
        StopSignal="SIGTERM",
        host_config={
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": "restarted", "Target": "/data"}],
        },
        Healthcheck={"Test": ["CMD", "true"], "Interval": 3600 * 10**9},
    )
    assert until((volume(dockerd) / "starts").exists)
    yield name
    dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")
    dockerd.api("DELETE", "/volumes/restarted")


def volume(engine: Dockerd) -> Path:
    return Path(engine.api("GET", "/volumes/restarted")["Mountpoint"])


def shown(engine: Dockerd, container: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.api("GET", f"/containers/{container}/json")
    return found


def kept(engine: Dockerd, container: str) -> tuple[Any, ...]:
    """What a restart does not change."""
    found = shown(engine, container)
    mounts = sorted(found["Mounts"], key=str)
    return found["Id"], found["Config"], found["HostConfig"], mounts, found["RestartCount"], names(engine)


@contextmanager
def restarted_once(engine: Dockerd, container: str) -> Iterator[None]:
    """The container is restarted once meanwhile, and runs afterwards; nothing else is done or left."""
    before, began = kept(engine, container), time.time()
    with leaves_nothing():
        yield
    assert until(lambda: kept(engine, container) == before)
    assert until(lambda: "restart" in done_to(engine, container, began))
    assert sorted(set(done_to(engine, container, began)) - {"kill"}) == ["die", "restart", "start", "stop"]
    assert shown(engine, container)["State"]["Running"]


def done_to(engine: Dockerd, container: str, since: float) -> list[str]:
    """What the engine has done to a container, without what belongs to health checks and commands."""
    times = ("--since", f"{since:.9f}", "--until", f"{time.time():.9f}")
    found = engine.docker(
        "events",
        *times,
        "--filter",
        f"container={container}",
        "--filter",
        "type=container",
        "--format",
        "{{.Action}}",
    )
    return [word for word in found.split("\n") if word and not word.startswith(("exec_", "health_status"))]


def kill(engine: Dockerd, run: str) -> None:
    """Kill the recorder, and remove what it leaves as the next recording does."""
    os.kill(worker(run), signal.SIGKILL)
    assert until(lambda: not workspace.lives(run))
    assert workspace.sweep(Engine(str(engine.socket))) == []


@pytest.fixture(scope="module")
def recorded(dockerd: Dockerd, web: str, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The container, recorded by `workload record --restart`, with a command that exercises it."""
    folder = tmp_path_factory.mktemp("recorded")
    command = f'curl -fsS "http://$HARDENER_ADDR_80/page" >{folder}/page'
    words = ["workload", "record", web, "--restart", "--run", command, "--out", str(folder / "out")]
    with restarted_once(dockerd, web):
        done = subprocess.run(
            [sys.executable, "-m", "hardener", *words],
            env={**BESIDE, "DOCKER_HOST": dockerd.host},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recorded on the container itself, after a restart" in " ".join(done.stdout.split())
    assert (folder / "page").read_text() == "kept\n"
    assert (volume(dockerd) / "starts").read_text() == "x\n" * 2
    (path,) = (folder / "out").iterdir()
    return load(path)


def test_a_restarted_container_is_recorded_from_its_first_instruction(recorded: Recording) -> None:
    assert recorded.recorder.complete, recorded.recorder.missing
    assert recorded.twin.network == "original"
    assert recorded.exercised == ("start-used", "health-check", "exec", "serve")
    assert {phase.name: phase.reason for phase in recorded.phases if not phase.exercised} == {
        "start-empty": "the container keeps its volumes",
        "reload": "the container is recorded itself, and gets no signal",
        "crash-restart": "the container is recorded itself, and is not killed",
        "stop": "the container is recorded itself, and goes on running",
    }
    calls = recorded.calls["x86_64"]
    assert calls["bind"].programs == ("httpd",)
    assert [name for name, call in calls.items() if call.phases == ("serve",)]
    assert "true" in calls["exit_group"].programs  # the health check
    assert "execve" in recorded.runtime_calls
    assert "/data/starts" in recorded.files.written + recorded.files.created
    assert ("tcp6", 80) in [(each.protocol, each.port) for each in recorded.network.listens]


def test_calls_of_the_programs_before_the_restart_are_not_recorded(
    dockerd: Dockerd, recorded: Recording
) -> None:
    assert (volume(dockerd) / "ended").exists()  # by a call that was made under the recorder
    assert not {"link", "linkat"} & recorded.calls["x86_64"].keys()


def test_a_profile_is_made_from_the_recording_of_a_restarted_container(recorded: Recording) -> None:
    profile = make_profile([("recording.json", recorded)])
    assert profile.document.seccomp is not None
    assert {"bind", "accept"} & set(profile.document.seccomp.calls)
    assert len(profile.document.seccomp.calls) < profile.document.seccomp.default_calls / 2


def test_packets_of_other_clients_exercise_a_restarted_container(
    dockerd: Dockerd, web: str, made: Callable[..., str]
) -> None:
    with restarted_once(dockerd, web):
        begun = begin(dockerd, web, restart=True)
        address = shown(dockerd, web)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        client = made("client", command=["busybox", "wget", "-q", "-O", "-", f"http://{address}/page"])
        assert until(lambda: not shown(dockerd, client)["State"]["Running"])
        assert shown(dockerd, client)["State"]["ExitCode"] == 0
        dockerd.api("DELETE", f"/containers/{client}?force=1&v=1")
        found = end(begun)
    (serve,) = (phase for phase in found.phases if phase.name == "serve")
    assert (serve.exercised, serve.reason) == (True, "the container received packets from others")


def test_a_container_on_the_network_of_the_host_is_recorded(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    name = made(
        "on-host",
        command=["httpd", "-f", "-p", "8123", "-h", "/etc"],
        host_config={"NetworkMode": "host"},
        ExposedPorts={"8123/tcp": {}},
    )
    with restarted_once(dockerd, name):
        begun = begin(dockerd, name, restart=True)
        fetched = subprocess.run(
            ["curl", "-fsS", f"http://{begun['addresses']['8123']}/passwd"], capture_output=True, check=True
        )
        assert b"nobody" in fetched.stdout
        found = end(begun)
    assert "connections reached the container" in [phase.reason for phase in found.phases]
    assert found.recorder.missing[:2] == (
        "The runtime's own calls were not measured: not requested.",
        "Ports were not recorded: the container does not have a network of its own.",
    )
    assert found.network.listens == ()


@pytest.mark.slow
def test_a_command_in_a_restarted_container_exercises_it(dockerd: Dockerd, made: Callable[..., str]) -> None:
    device = {"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/data", "CgroupPermissions": "rwm"}
    name = made("with-device", host_config={"NetworkMode": "none", "Devices": [device]})
    with restarted_once(dockerd, name):
        words = ["sh", "-c", "[ -c /dev/data ] && mkdir /made"]
        found = end(begin(dockerd, name, restart=True, run_in=words))
    assert "a command in the container" in [phase.reason for phase in found.phases]
    assert "mkdir" in found.calls["x86_64"]
    assert "/made" in found.files.created


def test_a_container_that_its_stop_removes_is_refused(dockerd: Dockerd, made: Callable[..., str]) -> None:
    name = made("passing", host_config={"NetworkMode": "none", "AutoRemove": True})
    began = time.time()
    with leaves_nothing(), pytest.raises(AssertionError, match="passing was started with --rm"):
        begin(dockerd, name, restart=True)
    assert done_to(dockerd, name, began) == []
    assert shown(dockerd, name)["State"]["Running"]


def abandon(_engine: Dockerd, run: str) -> None:
    """Abandon a recording as the action does."""
    assert main.abandon({"run": run}) is None


@pytest.mark.parametrize("abort", [abandon, pytest.param(kill, marks=pytest.mark.slow)])
def test_an_aborted_recording_leaves_the_container_running(
    dockerd: Dockerd, made: Callable[..., str], abort: Callable[[Dockerd, str], None]
) -> None:
    name = made("idle", host_config={"NetworkMode": "none"})
    with restarted_once(dockerd, name):
        abort(dockerd, begin(dockerd, name, restart=True)["run"])


def test_the_engine_completes_a_restart_whose_recorder_is_killed(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    script = "trap 'echo told' TERM; while :; do sleep 0.1; done"
    name = made(
        "stubborn",
        command=["sh", "-c", script],
        StopSignal="SIGTERM",
        StopTimeout=2,
        host_config={"NetworkMode": "none"},
    )
    run = secrets.token_hex(8)
    with restarted_once(dockerd, name), ThreadPoolExecutor(1) as pool:
        beginning = pool.submit(begin, dockerd, name, restart=True, run=run)
        assert until(lambda: "told" in dockerd.docker("logs", name))
        kill(dockerd, run)
        with pytest.raises(AssertionError, match="the recorder was killed on the host"):
            beginning.result()
