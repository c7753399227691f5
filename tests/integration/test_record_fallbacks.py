"""A container recorded by bpftrace, where the BPF objects cannot be loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import main

from hardener.workload.recording import Recording
from tests.integration.dockerd import Dockerd
from tests.integration.twinning import begin, end, leaves_nothing, worker
from tests.integration.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("recorder"),  # the kernel has one list of programs
]

SCRIPT = "busybox touch /mine; busybox chown 33 /mine; echo a,b >/c,d; exec httpd -f -p 80 -h /"
EXERCISE = ["busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/mine"]


@pytest.fixture(scope="module")
def web(dockerd: Dockerd) -> Iterator[str]:
    name = dockerd.create("fallback", command=["sh", "-c", SCRIPT], host_config={"NetworkMode": "none"})
    yield name
    dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")


def recorded(engine: Dockerd, container: str, *without: str, bpftrace: str = "") -> Recording:
    with leaves_nothing():
        begun = begin(engine, container, without=without, bpftrace=bpftrace, starts=1, run_in=EXERCISE)
        found = end(begun)
    assert "serve" in found.exercised, found.phases
    return found


@pytest.fixture(scope="module")
def usual(dockerd: Dockerd, web: str) -> Recording:
    found = recorded(dockerd, web)
    assert found.recorder.kind == "bpf"
    return found


def attached() -> set[int]:
    """Every program that the kernel has."""
    done = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True)
    return {each["id"] for each in json.loads(done.stdout)}


def test_bpftrace_records_the_same_as_the_bpf_objects(
    dockerd: Dockerd, web: str, usual: Recording, bpftrace: str
) -> None:
    found = recorded(dockerd, web, "Recorder", bpftrace=bpftrace)
    assert found.recorder.title == "bpftrace: not here"
    assert (found.recorder.complete, found.recorder.unseen) == (True, ()), found.recorder.missing
    for part in ("calls", "capabilities", "capset", "setuid", "identities", "network", "files", "exercised"):
        assert getattr(found, part) == getattr(usual, part), part
    assert found.runtime_base is not None
    assert {"execve", "close", "futex"} <= set(found.runtime_base.no_new_privileges)


def test_bpftrace_ends_with_the_recording_process(dockerd: Dockerd, web: str, bpftrace: str) -> None:
    before = attached()
    begun = begin(dockerd, web, without=["Recorder"], bpftrace=bpftrace)
    assert attached() - before
    os.kill(worker(begun["run"]), signal.SIGKILL)
    assert until(lambda: not attached() - before)
    main.abandon({"run": begin(dockerd, web)["run"]})  # removes the twin
