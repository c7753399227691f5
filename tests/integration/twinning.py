"""What tests of recordings and proofs look at: the kernel's programs, a run's process, what an engine has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils import record
from ansible_collections.hardener.docker.plugins.module_utils.record import main, prove, workspace
from ansible_collections.hardener.docker.plugins.module_utils.record.twin import LABEL
from ansible_collections.hardener.docker.plugins.plugin_utils.objects import objects

from hardener.workload.assemble import recording
from hardener.workload.recording import Recording
from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until
from tests.unit.plugins.loading import COLLECTIONS

ROOT = Path(__file__).parents[2]
BESIDE = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
OBJECTS = {
    path.name: b64encode(path.read_bytes()).decode()
    for path in Path(record.__file__).parent.glob("bpf/*.bpf.o")
}
_BEGIN, _BEGIN_PROOF = (
    f"import json, sys; from {module.__name__} import begin; "
    "print(json.dumps(begin(json.loads(sys.stdin.read()))))"
    for module in (main, prove)
)


def programs(*ours: str) -> set[int]:
    """The programs with these names that the kernel has; without any, those of recordings."""
    text = subprocess.run(
        ["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True
    ).stdout
    wanted = ours or ("on_call", "on_exec", "on_check")
    return {each["id"] for each in json.loads(text) if each.get("name") in wanted}


def worker(run: str) -> int:
    """The process that holds a run's lock."""
    lock = f"{workspace.FOLDER}/{run}/lock"
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == lock:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError("nothing holds the lock")


def names(engine: Dockerd) -> set[str]:
    """Everything that the engine has."""
    found = {each["Names"][0] for each in engine.api("GET", "/containers/json?all=1")}
    found |= {each["Name"] for each in engine.api("GET", "/networks")}
    found |= {each["Name"] for each in engine.api("GET", "/volumes")["Volumes"] or ()}
    for each in engine.api("GET", "/images/json?all=1"):
        found |= set(each["RepoTags"] or [each["Id"]])
    return found


def begin(engine: Dockerd, container: str = "", **more: Any) -> dict[str, Any]:
    """Begin a recording as the action does: in a process that ends when the twin serves."""
    arguments = {
        "container": container,
        "seconds": 60,
        "starts": 0,
        "objects": OBJECTS,
        "socket": str(engine.socket),
        **more,
    }
    begun: dict[str, Any] = _began(_BEGIN, arguments)
    return begun


def begin_proof(engine: Dockerd, **arguments: Any) -> dict[str, Any]:
    """Begin a proof as the action does: in a process that ends when it has begun."""
    found: dict[str, Any] = _began(
        _BEGIN_PROOF, {**arguments, "socket": str(engine.socket), "objects": objects("refusals")}
    )
    return found


def _began(program: str, arguments: Mapping[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(arguments),
        env=BESIDE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def workload(engine: Dockerd, *words: str, written: Path) -> subprocess.CompletedProcess[str]:
    """Run a verb of `hardener workload` on this machine; all that it writes or says is below a folder."""
    places = {"HOME": str(written), "TMPDIR": str(written), "HARDENER_HOME": str(written / "history")}
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "workload", *words, "--verbose"],
        env={**BESIDE, "DOCKER_HOST": engine.host, **places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    with (written / "said").open("a") as file:
        file.write(done.stdout + done.stderr)
    return done


def twins(engine: Dockerd, run: str) -> list[dict[str, Any]]:
    """What the engine says of the twins of a run that are running."""
    found = engine.api("GET", "/containers/json")
    mine = [each["Id"] for each in found if each["Labels"].get(LABEL) == run]
    return [engine.api("GET", f"/containers/{identity}/json") for identity in mine]


def end_all(begun: Mapping[str, Any], problem: str = "") -> list[Recording]:
    """End a recording as the action does; one for each container that was recorded."""
    answers = main.end({"run": begun["run"], "exercise": {"seconds": 1.0, "problem": problem}})
    assert answers["problems"] == []
    return [recording("host", answer) for answer in answers["recordings"]]


def end(begun: Mapping[str, Any], problem: str = "") -> Recording:
    """The same, of one container."""
    (found,) = end_all(begun, problem)
    return found


def runs() -> set[str]:
    """Folders of runs."""
    folder = Path(workspace.FOLDER)
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


@contextmanager
def leaves_nothing() -> Iterator[None]:
    """Neither the kernel nor /run has anything more afterwards.

    Other runs of the tests on this machine may have something there for their time.
    """
    attached, folders = programs(), runs()
    yield
    attached, folders = programs() - attached, runs() - folders
    assert until(lambda: not programs() & attached)
    assert until(lambda: not runs() & folders)
