"""A container of crun, recorded, profiled and proven as one of runc is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener.workload.profile_document import load as load_profile
from hardener.workload.proof import ProofDocument
from hardener.workload.recording import Recording, load
from hardener.workload.shapes import PHASES
from tests.integration.dockerd import Dockerd, engine_inside
from tests.integration.namespaces import OwnNetwork
from tests.integration.twinning import BESIDE, names, programs
from tests.integration.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("recorder")]

# Gives up root, which takes two capabilities; its page gets an owner, which takes a third one.
SCRIPT = "echo here >/www/page; busybox chown 65534 /www/page; exec httpd -f -p 80 -u 65534:65534 -h /www"
EXERCISE = 'curl -fsS --max-time 10 "http://$HARDENER_ADDR_80/page" >&2'
NEEDED = {"capability CAP_CHOWN", "capability CAP_SETGID", "capability CAP_SETUID"}
# crun refuses cgroups of both versions where version 2 has a controller, which no container here needs.
WRAPPER = """#!/bin/sh
controllers=/sys/fs/cgroup/unified/cgroup.controllers
grep -qs . $controllers || exec "CRUN" "$@"
exec unshare --mount sh -c 'mount --bind /dev/null "$0" && exec "$@"' $controllers "CRUN" "$@"
"""


@pytest.fixture(scope="module")
def engine(own_network: OwnNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """An engine that knows crun, whose file has another name: the recorder does not go by names."""
    crun = shutil.which("crun")
    if crun is None:
        pytest.fail("crun is missing: apt-get install crun", pytrace=False)
    folder = tmp_path_factory.mktemp("runtime")
    shutil.copy(crun, folder / "another")
    wrapper = folder / "wrapper"
    wrapper.write_text(WRAPPER.replace("CRUN", str(folder / "another")))
    wrapper.chmod(0o755)
    with engine_inside(own_network, config={"runtimes": {"crun": {"path": str(wrapper)}}}) as engine:
        engine.ensure_image()
        engine.run(
            "server",
            command=["sh", "-c", SCRIPT],
            host_config={
                "Runtime": "crun",
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
                "Tmpfs": {"/www": "rw"},
            },
        )
        yield engine


def hardener(engine: Dockerd, *words: str) -> None:
    """Run a verb of `hardener workload`, which has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "workload", *words],
        env={**BESIDE, "DOCKER_HOST": engine.host, "HARDENER_HOME": str(engine.socket.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def recording(engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    hardener(engine, "record", "server", "--run", EXERCISE, "--out", str(folder))
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def recorded(recording: Path) -> Recording:
    return load(recording)


def test_calls_of_crun_are_kept_apart_from_those_of_the_container(recorded: Recording) -> None:
    assert recorded.recorder.complete, recorded.recorder.missing
    assert set(PHASES) - set(recorded.exercised) == {"health-check", "serve-empty"}  # it has no volume
    programs_seen = {name for call in recorded.calls["x86_64"].values() for name in call.programs}
    assert programs_seen == {"sh", "busybox", "exe", "httpd"}  # /proc/self/exe, a part of busybox
    assert {each.program for each in recorded.identities} == {"httpd"}
    assert {use.name for use in recorded.capabilities} >= {"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"}
    assert "setgroups" in recorded.calls["x86_64"]
    assert "execve" in recorded.runtime_calls


def test_the_calls_that_crun_needs_for_any_container_are_measured(recorded: Recording) -> None:
    base = recorded.runtime_base
    assert base is not None
    assert "execve" in base.no_new_privileges
    assert set(base.no_new_privileges) <= set(base.calls)
    assert {"capset", "setresuid", "setresgid"} <= set(base.calls) - set(base.no_new_privileges)
    assert "futex" not in base.calls  # it is no program in Go


def test_the_version_of_crun_is_recorded(engine: Dockerd, recorded: Recording) -> None:
    said = subprocess.run(["crun", "--version"], check=True, capture_output=True, text=True).stdout
    assert recorded.host.runtime.name == "crun"
    assert recorded.host.runtime.version == said.split()[2]


def test_a_profile_of_a_container_of_crun_is_proven(engine: Dockerd, recording: Path, tmp_path: Path) -> None:
    folder, before, attached = tmp_path / "profile", names(engine), programs("on_return")
    hardener(engine, "profile", str(recording), "--out", str(folder))
    calls = load_profile(folder).seccomp
    assert calls is not None
    assert not any(reason.go_reserve for reason in calls.calls.values())
    hardener(engine, "prove", str(folder), "--run", EXERCISE, "--starts", "20")
    proof = ProofDocument.model_validate_json((folder / "proof.json").read_text())
    assert proof.verdict == "safe"
    assert proof.refusals == ()
    assert {each.removed for each in proof.evidence if each.needed} == NEEDED
    assert names(engine) == before
    assert until(lambda: not programs("on_return") - attached)
