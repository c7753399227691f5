"""Profiles of a container on a real engine, proven by twins under one confinement after another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import prove as host_program
from ansible_collections.hardener.docker.plugins.module_utils.record import workspace
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine
from junitparser import JUnitXml

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.workflows import twins
from hardener.workflows.try_confinements import TrialRequest, Tried, try_confinements
from hardener.workload.exercise import command
from hardener.workload.profile_document import load
from hardener.workload.proof import ProofDocument, schema
from hardener.workload.recording import load as load_recording
from hardener.workload.trials import Trial, plan
from hardener.workload.verdict import Expected, Proof, Verdict, judge
from tests.integration.dockerd import Dockerd
from tests.integration.planting import Planted, pieces
from tests.integration.twinning import BESIDE, begin_proof, names, programs, worker, workload
from tests.integration.waiting import until

pytestmark = pytest.mark.xdist_group("recorder")  # the kernel has one list of programs

STARTS = 3
# Two ways to give up root, neither of which ends the container where it fails: on port 81 each answer
# comes from a program that does so first, or does not come; on port 80 the server goes on as root.
SCRIPT = """
    echo here >/www/page; busybox chown 65534 /www/page
    nc -ll -p 81 -e busybox start-stop-daemon -S -c nobody -x /bin/cat -- /www/page &
    httpd -f -p 80 -u 65534:65534 -h /www || httpd -f -p 80 -h /www
"""
PAGE = 'curl -fsS --max-time 10 "http://$HARDENER_ADDR_80/page" >&2'
BOTH = PAGE + ' && [ "$(busybox nc -w 5 ${HARDENER_ADDR_81%:*} ${HARDENER_ADDR_81#*:} </dev/null)" = here ]'


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def server(dockerd: Dockerd, planted: Planted) -> Iterator[str]:
    """A container that gives up root."""
    name = dockerd.run(
        "server",
        command=["sh", "-c", SCRIPT, planted("argument")],
        env=[f"TOKEN={planted('environment')}"],
        labels={"x": planted("label")},
        host_config={
            "PortBindings": {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in (80, 81)},
            "Tmpfs": {"/www": "rw"},
        },
        Healthcheck={"Test": ["CMD", "busybox", "sleep", "0.2"], "Interval": 10**9},  # not seen in twins
    )
    yield "server"
    dockerd.api("DELETE", f"/containers/{name}?force=1")


@pytest.fixture(scope="module")
def profile(
    dockerd: Dockerd, server: str, planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its profile, from a recording."""
    folder = tmp_path_factory.mktemp("profile")
    done = workload(dockerd, "record", server, "--run", BOTH, "--out", str(folder), written=folder)
    assert done.returncode == 0, done.stderr
    (recording,) = folder.glob("recording-*.json")
    made = folder / "server-profile"
    done = workload(dockerd, "profile", str(recording), "--out", str(made), written=folder)
    assert done.returncode == 0, done.stderr
    assert planted.leaks(pieces(folder)) == {}
    return made


def test_the_command_proves_a_profile_and_leaves_nothing_behind(
    dockerd: Dockerd, profile: Path, planted: Planted, tmp_path: Path
) -> None:
    before, attached = names(dockerd), programs("on_return")
    exercise = f": {planted('exercise')}; {BOTH}"
    words = ["--run", exercise, "--starts", str(STARTS), "--junit", str(tmp_path / "junit.xml")]
    done = workload(dockerd, "prove", str(profile), *words, written=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert names(dockerd) == before
    assert until(lambda: not programs("on_return") - attached)
    found = ProofDocument.model_validate_json((profile / "proof.json").read_text())
    assert found.verdict == "safe"
    evidence = {each.removed: each for each in found.evidence}
    assert {name for name, each in evidence.items() if each.needed} == {
        "capability CAP_CHOWN",
        "capability CAP_SETGID",
        "capability CAP_SETUID",
    }
    # It goes on, and answers nothing.
    assert evidence["capability CAP_SETUID"].observed.startswith(
        "the exercise fails: the command ended with code"
    )
    assert "busybox was refused setuid (EPERM)" in evidence["capability CAP_SETUID"].observed
    trials = {trial.key: trial.observation for trial in found.trials}
    tight = trials["control"]
    assert tight is not None
    usual = trials["before"]
    assert usual is not None
    fresh = {each.by for each in tight.refusals if each.kind not in {known.kind for known in usual.refusals}}
    assert fresh == {"filter"}
    cases = [case for suite in JUnitXml.fromfile(str(tmp_path / "junit.xml")) for case in suite]
    assert len(cases) == 2 + len(evidence)
    assert "verdict" in schema()["required"]
    proof, made = pieces(tmp_path), pieces(profile.parent)
    assert any(name.startswith("history/") for name in proof)
    assert f"{profile.name}/proof.json" in made
    assert (planted.leaks(proof), planted.leaks(made)) == ({}, {})


class Quiet:
    """A listener that says nothing."""

    def event(self, event: object) -> None:
        pass

    def difference(self, host: str, difference: object) -> None:
        pytest.fail(f"{host}: {difference}")

    def trying(self, number: int, of: int, trial: Trial) -> None:
        pass

    def warn(self, problems: Sequence[str]) -> None:
        assert not problems

    def given_up(self, *, removed: bool) -> None:
        pass


@pytest.fixture
def proven(dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], tuple[Proof, Tried]]:
    """Proves a profile by an exercise, without Ansible, which takes a second a trial."""

    def stage(
        _fleet: object, _playbook: str, variables: Mapping[str, Any], _listener: object, *, socket: str = ""
    ) -> Any:
        arguments = {name.removeprefix("prove_"): value for name, value in variables.items()}
        name = arguments.pop("stage")
        if name != "begin":
            return "host", json.loads(json.dumps(getattr(host_program, name)(arguments)))
        assert arguments.pop("forward")
        return "host", {**begin_proof(dockerd, **arguments), "ssh": []}

    monkeypatch.setattr(twins, "stage", stage)

    def run(folder: Path, exercise: str) -> tuple[Proof, Tried]:
        document = load(folder)
        trials = plan(document, seccomp=json.loads((folder / "seccomp.json").read_text()), starts=STARTS)
        tried = try_confinements(
            cast(Fleet, None),
            TrialRequest(seconds=120),
            document=document,
            trials=trials,
            exercise=lambda most: command(exercise, most=most),
            listener=Quiet(),
        )
        return judge(trials, tried.observations, expected=Expected.of(document)), tried

    return run


def changed(folder: Path, tmp_path: Path, name: str, change: Callable[[Any], None]) -> Path:
    """A copy of a profile with one file changed, and its digest."""
    data = json.loads((folder / name).read_text())
    change(data)
    document = json.loads((folder / "profile.json").read_text())
    for each in document["files"]:
        (tmp_path / each).write_bytes((folder / each).read_bytes())
    if name == "profile.json":
        document = data
    else:
        (tmp_path / name).write_text(json.dumps(data))
        document["files"][name] = f"sha256:{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}"
    (tmp_path / "profile.json").write_text(json.dumps(document))
    return tmp_path


def test_a_server_that_stays_root_and_a_port_that_nothing_asks_are_reported(
    proven: Callable[..., Any], profile: Path
) -> None:
    proof, _ = proven(profile, PAGE)
    assert proof.verdict is Verdict.NOT_EXERCISED
    assert proof.reasons == ("no exercise connected to the published port 81/tcp",)
    (evidence,) = (each for each in proof.evidence if each.removed == "capability CAP_SETUID")
    assert evidence.needed is True
    assert "httpd runs as 0:" in evidence.observed


OWNED = """FROM busybox:test
RUN busybox mkdir /data && busybox chown 5:6 /data && busybox chmod 750 /data
"""


def test_a_user_in_place_of_root_is_proven_with_the_files_that_root_has_written(
    dockerd: Dockerd, proven: Callable[..., Any], tmp_path: Path
) -> None:
    dockerd.build("owned:test", OWNED)
    dockerd.run(
        "owned",
        image="owned:test",
        command=["sh", "-ec", "echo here >>/data/page; exec httpd -f -p 80 -h /data"],
        host_config={
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": "owned", "Target": "/data"}],
        },
    )
    done = workload(dockerd, "record", "owned", "--run", PAGE, "--out", str(tmp_path), written=tmp_path)
    assert done.returncode == 0, done.stderr
    (recording,) = tmp_path.glob("recording-*.json")
    done = workload(dockerd, "profile", str(recording), "--out", str(tmp_path / "made"), written=tmp_path)
    assert done.returncode == 0, done.stderr
    document = load(tmp_path / "made")
    assert (str(document.user), document.capabilities.kept) == ("5:6", ())
    proof, tried = proven(tmp_path / "made", PAGE)
    assert proof.verdict is Verdict.SAFE, proof.reasons
    identities = tried.observations["profile"].identities
    assert {(each.uid, each.gid) for each in identities if each.program == "httpd"} == {(5, 6)}
    dockerd.api("DELETE", "/containers/owned?force=1&v=1")
    dockerd.api("DELETE", "/volumes/owned")


# The first request makes a log in a folder of another user, which takes CAP_DAC_OVERRIDE.
LOGGED = """FROM busybox:test
RUN busybox mkdir /log && busybox chown 5:6 /log
"""
ANSWER = "while :; do echo here | nc -l -p 80 >/dev/null && echo asked >>/log/access; done"
ASKED = '[ "$(busybox nc -w 5 ${HARDENER_ADDR_80%:*} ${HARDENER_ADDR_80#*:} </dev/null)" = here ]'


@pytest.fixture
def logger(dockerd: Dockerd) -> Iterator[str]:
    """A container whose log exists already."""
    dockerd.build("logger:test", LOGGED)
    dockerd.run(
        "logger",
        image="logger:test",
        command=["sh", "-c", ANSWER],
        host_config={
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": "logger", "Target": "/log"}],
        },
    )
    (Path(dockerd.api("GET", "/volumes/logger")["Mountpoint"]) / "access").write_text("asked\n")
    yield "logger"
    dockerd.api("DELETE", "/containers/logger?force=1&v=1")
    dockerd.api("DELETE", "/volumes/logger")


def test_the_exercise_is_run_with_empty_volumes_too(
    dockerd: Dockerd, logger: str, proven: Callable[..., Any], tmp_path: Path
) -> None:
    done = workload(dockerd, "record", logger, "--run", ASKED, "--out", str(tmp_path), written=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("recording-*.json")
    recording = load_recording(path)
    assert recording.exercised[:2] == ("start-empty", "serve-empty")
    phases = {use.phases for use in recording.capabilities if use.name == "CAP_DAC_OVERRIDE"}
    assert phases == {("serve-empty",)}
    words = ["profile", str(path), "--keep-user", "--out", str(tmp_path / "made")]
    done = workload(dockerd, *words, written=tmp_path)
    assert done.returncode == 0, done.stderr
    proof, _tried = proven(tmp_path / "made", ASKED)
    assert proof.verdict is Verdict.SAFE, proof.reasons
    (evidence,) = (each for each in proof.evidence if each.removed == "capability CAP_DAC_OVERRIDE")
    assert evidence.needed is True
    assert "sh was refused openat (EACCES)" in evidence.observed
    # The exercise may need what only used volumes have.
    folder, counter = tmp_path / "made", tmp_path / "count"
    first_fails = f"[ $(echo >>{counter}; wc -l <{counter}) -gt 1 ] && {ASKED}"
    proof, tried = proven(folder, first_fails)
    assert proof.verdict is Verdict.SAFE, proof.reasons
    without, under = (tried.observations[key].phase("serve-empty") for key in ("before", "profile"))
    assert without is not None
    assert not without.exercised
    assert under is None


def test_a_profile_that_lacks_a_call_is_not_safe(
    proven: Callable[..., Any], profile: Path, tmp_path: Path
) -> None:
    def drop(seccomp: Any) -> None:
        for rule in seccomp["syscalls"]:
            rule["names"] = [name for name in rule["names"] if name != "bind"]

    proof, _ = proven(changed(profile, tmp_path, "seccomp.json", drop), BOTH)
    assert proof.verdict is Verdict.NOT_SAFE
    assert "starts failed" in proof.reasons[0]
    named = {(each.program, each.call, each.error, each.by) for each in proof.refusals}
    assert ("httpd", "bind", 1, "filter") in named
    assert all(each.needed is None for each in proof.evidence)


def test_a_profile_that_adds_a_capability_is_not_safe(
    proven: Callable[..., Any], profile: Path, tmp_path: Path
) -> None:
    def give(document: Any) -> None:
        document["capabilities"]["kept"].append("CAP_SYS_ADMIN")

    proof, _ = proven(changed(profile, tmp_path, "profile.json", give), PAGE)
    assert proof.verdict is Verdict.NOT_SAFE
    assert any("further bounding capabilities: CAP_SYS_ADMIN" in reason for reason in proof.reasons)


@pytest.mark.parametrize(
    ("exercise", "reason"),
    [
        ("true", "no connection reached the twin"),
        (
            f"{PAGE} || true",
            "this exercise proves nothing: it passes under a profile that is too strict",
        ),
        (
            f"{PAGE} && false",
            "the exercise fails without the profile too: the command ended with code 1",
        ),
    ],
)
def test_an_exercise_that_always_passes_or_always_fails_is_reported(
    proven: Callable[..., Any], profile: Path, exercise: str, reason: str
) -> None:
    proof, _ = proven(profile, exercise)
    assert (proof.verdict, proof.reasons) == (Verdict.NOT_EXERCISED, (reason,))


def test_a_container_of_another_image_is_refused(
    dockerd: Dockerd, proven: Callable[..., Any], profile: Path, tmp_path: Path
) -> None:
    def other(document: Any) -> None:
        document["container"]["digest"] = "sha256:" + "0" * 64

    before = names(dockerd)
    with pytest.raises(HardenerError, match="image digest was sha256:0000"):
        proven(changed(profile, tmp_path, "profile.json", other), BOTH)
    assert names(dockerd) == before


def test_leftovers_of_a_killed_proof_are_removed_by_the_next_run(dockerd: Dockerd, server: str) -> None:
    before, attached = names(dockerd), programs("on_return")
    run = begin_proof(dockerd, container=server, seconds=60)["run"]
    trial = {"kind": "before", "confinement": None, "starts": 1, "whole": True, "empty": False, "seconds": 10}
    assert host_program.attempt({"run": run, "trial": trial})["up"]
    assert len(programs("on_return") - attached) == 1
    os.kill(worker(run), signal.SIGKILL)
    assert until(lambda: not programs("on_return") - attached)
    assert names(dockerd) - before
    assert workspace.sweep(Engine(str(dockerd.socket))) == []
    assert names(dockerd) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_proof_leaves_nothing_behind(
    dockerd: Dockerd, profile: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder, said = tmp_path / "profile", tmp_path / "said"
    shutil.copytree(profile, folder)
    before = names(dockerd)
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hardener", "workload", "prove", str(folder), "--run", "sleep 1000"],
            env={**BESIDE, "DOCKER_HOST": dockerd.host, "HARDENER_HOME": str(tmp_path / "home")},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    assert until(lambda: any(name.endswith("-empty") for name in names(dockerd) - before))
    process.send_signal(number)
    process.wait(60)
    assert until(lambda: names(dockerd) == before)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "there is no result; all twins are removed" in said.read_text()
