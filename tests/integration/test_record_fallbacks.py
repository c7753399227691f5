"""A container recorded where the BPF objects cannot be loaded: by bpftrace, and by the audit log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import main
from ansible_collections.hardener.docker.plugins.module_utils.record.auditlog import QUIET

from hardener.workload.profile import make
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


@pytest.fixture(scope="module")
def logged(machine_network: None, dockerd: Dockerd, web: str) -> Recording:
    """The container by the audit log, whose records are heard in the machine's network alone."""
    return recorded(dockerd, web, "Recorder", "Bpftrace")


def test_recording_by_the_audit_log_finds_the_same_logged_calls_as_bpf(
    usual: Recording, logged: Recording
) -> None:
    found = logged
    assert found.recorder.title == "the audit log: not here"
    assert (found.recorder.complete, found.recorder.unseen) == (False, ("capabilities", "sockets"))
    assert set(found.calls["x86_64"]) == set(usual.calls["x86_64"]) - QUIET
    assert {name: call.programs for name, call in found.calls["x86_64"].items()} == {
        name: call.programs for name, call in usual.calls["x86_64"].items() if name not in QUIET
    }
    assert found.calls["x86_64"]["bind"].phases == usual.calls["x86_64"]["bind"].phases
    assert "execve" in found.runtime_calls
    assert found.runtime_base is None
    assert found.granted == usual.granted


def test_a_container_works_under_a_profile_from_the_audit_log(dockerd: Dockerd, logged: Recording) -> None:
    profile = make([("recording.json", logged)])
    assert len(profile.capabilities) == 14
    assert profile.seccomp is not None
    assert len(profile.seccomp.permitted) < 120
    options = {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "CapAdd": list(profile.capabilities),
        "ReadonlyRootfs": profile.read_only,
        "SecurityOpt": [
            f"no-new-privileges={'true' if profile.no_new_privileges else 'false'}",
            f"seccomp={json.dumps(profile.seccomp.document)}",
        ],
    }
    name = dockerd.run("confined", command=["sh", "-c", SCRIPT], host_config=options)
    try:
        assert until(lambda: exercised(dockerd, name))
    finally:
        dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")


def exercised(engine: Dockerd, container: str) -> bool:
    """Whether the exercise succeeds in a container."""
    made = engine.api("POST", f"/containers/{container}/exec", {"Cmd": EXERCISE})["Id"]
    engine.api("POST", f"/exec/{made}/start", {"Detach": True})
    assert until(lambda: not engine.api("GET", f"/exec/{made}/json")["Running"])
    return bool(engine.api("GET", f"/exec/{made}/json")["ExitCode"] == 0)


@pytest.mark.usefixtures("machine_network")
def test_a_twin_recorded_by_the_audit_log_ends_with_the_recording_process(dockerd: Dockerd, web: str) -> None:
    begun = begin(dockerd, web, without=["Recorder", "Bpftrace"], starts=1)
    (twin,) = (
        each["Id"]
        for each in dockerd.api("GET", "/containers/json")
        if each["Labels"].get("hardener.twin") == begun["run"]
    )
    os.kill(worker(begun["run"]), signal.SIGKILL)
    assert until(lambda: not dockerd.api("GET", f"/containers/{twin}/json")["State"]["Running"])
    main.abandon({"run": begin(dockerd, web)["run"]})  # removes the twin


@pytest.mark.usefixtures("machine_network")
def test_a_twin_that_floods_the_audit_log_is_killed(dockerd: Dockerd) -> None:
    command = ["sh", "-c", "while :; do echo; done"]
    name = dockerd.create("flood", command=command, host_config={"NetworkMode": "none"})
    try:
        with leaves_nothing():
            begun = begin(dockerd, name, without=["Recorder", "Bpftrace"], records=500, starts=1)
            found = end(begun)
        assert "The twins were killed after 500 audit records." in found.recorder.missing
        assert "write" in found.calls["x86_64"]
    finally:
        dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")


@pytest.mark.usefixtures("machine_network")
def test_a_container_itself_is_not_recorded_by_the_audit_log(dockerd: Dockerd, web: str) -> None:
    dockerd.api("POST", f"/containers/{web}/start")
    before = dockerd.api("GET", f"/containers/{web}/json")
    with pytest.raises(AssertionError, match="the audit log records only twins: leave out --restart"):
        begin(dockerd, web, without=["Recorder", "Bpftrace"], restart=True)
    assert dockerd.api("GET", f"/containers/{web}/json")["State"] == before["State"]
