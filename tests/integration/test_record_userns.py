"""Containers of an engine that remaps users: capabilities count in the container's own user namespace."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.observe import listening, status

from hardener.workload import kernel
from hardener.workload.artefacts import artefacts
from hardener.workload.profile import make
from hardener.workload.proof import ProofDocument
from hardener.workload.recording import Recording, load
from hardener.workload.trials import confinement
from tests.integration.planting import Planted, pieces
from tests.integration.remapping import BASE, RemappingDockerd
from tests.integration.twinning import begin, end, leaves_nothing, names, workload
from tests.integration.waiting import until

pytestmark = [
    pytest.mark.usefixtures("bound_accounts"),
    pytest.mark.xdist_group("recorder"),  # the kernel has one list of programs
]

USER = 33
# A file gets an owner, and a server gives up root: three capabilities.
SCRIPT = f"""
    [ -e /data/page ] || echo first >/data/page
    busybox touch /mine; busybox chown {USER} /mine
    exec httpd -f -p 80 -u {USER}:{USER} -h /data
"""
NEEDED = ("CAP_CHOWN", "CAP_SETGID", "CAP_SETUID")
OWNER = f'[ "$(busybox stat -c %u:%g /mine /data/page | busybox tr "\\n" " ")" = "{USER}:0 {USER}:{USER} " ]'
PAGE = '[ "$(busybox wget -qO- http://127.0.0.1/page)" = used ]'
# On a busy machine the command can be in the twin before the file has its owner, or the server listens.
EXERCISE = f"n=0; until {OWNER} && {PAGE}; do n=$((n + 1)); [ $n -lt 500 ] || exit 1; done"
OPTIONS: dict[str, Any] = {
    "NetworkMode": "none",
    "Mounts": [{"Type": "volume", "Source": "pages", "Target": "/data"}],
}


@pytest.fixture(scope="module")
def engine() -> Iterator[RemappingDockerd]:
    """An engine with a container whose volume is in use."""
    with RemappingDockerd() as engine:
        engine.run("remapped", command=["sh", "-c", SCRIPT], host_config=OPTIONS)
        page = Path(engine.api("GET", "/volumes/pages")["Mountpoint"], "page")
        assert until(page.exists)
        page.write_text("used\n")
        subprocess.run(["chown", f"{BASE + USER}:{BASE + USER}", str(page)], check=True)
        yield engine


@pytest.fixture(scope="module")
def folder(engine: RemappingDockerd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its recording, by a command that runs in the twin."""
    folder, planted = tmp_path_factory.mktemp("remapped"), Planted()
    before = names(engine)
    command = shlex.join(["sh", "-c", EXERCISE, planted("argument of the exercise")])
    words = ("--run-in", "remapped", command, "--out", str(folder / "out"))
    with leaves_nothing():
        done = workload(engine, "record", "remapped", *words, written=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    assert names(engine) == before
    assert planted.leaks(pieces(folder)) == {}
    return folder


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    (path,) = (folder / "out").iterdir()
    return path


@pytest.fixture(scope="module")
def recorded(path: Path) -> Recording:
    return load(path)


def test_capability_checks_in_the_containers_own_user_namespace_are_recorded(recorded: Recording) -> None:
    assert recorded.recorder.complete, recorded.recorder.missing
    assert recorded.host.userns_remap
    assert {"start-empty", "start-used", "serve", "crash-restart", "stop"} <= set(recorded.exercised)
    uses = {(use.name, use.call, use.program) for use in recorded.capabilities}
    assert ("CAP_SETGID", "setgid", "httpd") in uses
    assert ("CAP_SETUID", "setuid", "httpd") in uses
    assert {program for name, _, program in uses if name == "CAP_CHOWN"} == {"busybox"}
    assert {"bind", "setgroups", "setuid"} <= recorded.calls["x86_64"].keys()


def test_users_are_recorded_as_the_containers_own_user_namespace_has_them(recorded: Recording) -> None:
    assert {(each.program, each.uid, each.gid) for each in recorded.identities} == {("httpd", USER, USER)}
    assert recorded.files.owners["/mine"].uid == USER


def works(engine: RemappingDockerd, host_config: dict[str, Any]) -> bool:
    """Whether the exercise succeeds in a container with these rights."""
    name = engine.run("confined", command=["sh", "-c", SCRIPT], host_config={**host_config, **OPTIONS})

    def state() -> Any:
        return engine.api("GET", f"/containers/{name}/json")["State"]

    def started() -> bool:
        found = state()
        return not found["Running"] or ("tcp6", 80) in listening(found["Pid"])

    try:
        assert until(started)
        words = ["docker", "--host", engine.host, "exec", name, "sh", "-c", EXERCISE]
        done = subprocess.run(words, check=False, capture_output=True)
        if done.returncode == 0:
            fields = status(state()["Pid"])
            assert fields["Uid"].split()[1] == str(BASE + USER)
            kept = {f"CAP_{each}" for each in host_config["CapAdd"]}
            assert set(kernel.capabilities(int(fields["CapBnd"], 16))) == kept
        return done.returncode == 0
    finally:
        engine.api("DELETE", f"/containers/{name}?force=1")


def test_the_profile_keeps_the_capabilities_without_which_the_exercise_fails(
    engine: RemappingDockerd, recorded: Recording
) -> None:
    profile = make([("recording.json", recorded)])
    assert set(NEEDED) <= set(profile.document.capabilities.kept)
    whole = confinement(profile.document, seccomp=json.loads(artefacts(profile.document)["seccomp.json"]))
    rights = whole.host_config()
    assert works(engine, rights)
    for name in NEEDED:
        less = [each for each in rights["CapAdd"] if f"CAP_{each}" != name]
        assert not works(engine, {**rights, "CapAdd": less}), name


def test_a_container_that_opts_out_is_recorded_in_the_hosts_user_namespace(engine: RemappingDockerd) -> None:
    script = f"busybox touch /mine; busybox chown {USER} /mine; exec sleep 1000"
    options = {"NetworkMode": "none", "UsernsMode": "host"}
    name = engine.create("opted-out", command=["sh", "-c", script], host_config=options)
    found = end(begin(engine, name))
    assert found.host.userns_remap
    assert ("CAP_CHOWN", "busybox") in {(use.name, use.program) for use in found.capabilities}
    assert found.files.owners["/mine"].uid == USER


@pytest.mark.slow
def test_a_profile_of_a_remapped_container_is_proven(
    engine: RemappingDockerd, folder: Path, path: Path, tmp_path: Path
) -> None:
    made, before = tmp_path / "profile", names(engine)
    done = workload(engine, "profile", str(path), "--out", str(made), written=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    exercise = ("--run-in", "remapped", shlex.join(["sh", "-c", EXERCISE]), "--starts", "3")
    done = workload(engine, "prove", str(made), *exercise, written=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    proof = ProofDocument.model_validate_json((made / "proof.json").read_text())
    assert (proof.verdict, proof.host.userns_remap) == ("safe", True)
    needed = {each.removed for each in proof.evidence if each.needed}
    assert needed >= {f"capability {name}" for name in NEEDED}
    assert names(engine) == before
