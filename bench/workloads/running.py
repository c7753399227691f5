"""Record, profile and prove a workload with the commands that a user runs; then attack its containers."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.workloads import operations
from bench.workloads.catalogue import FILES, Workload
from hardener.workload.profile_document import Document, load
from hardener.workload.proof import ProofDocument
from hardener.workload.starts import STARTS
from tests.integration.dockerd import Engine

ATTACKS = (
    *("ptrace", "memfd-execveat", "process-vm-readv", "raw-socket", "read-shadow"),
    *("shell", "write-usr", "mknod", "chown-setuid", "connect-out", "io-uring", "userfaultfd", "keys"),
    *("user-namespace", "af-alg", "af-vsock", "bpf", "perf", "tiocsti", "mount", "setns"),
)
_POSSIBLE, _REFUSED = 0, 1  # exit codes
_NOT_LOADED = "error while loading shared libraries"
_COMPOSE = FILES / "compose.yaml"
_PROJECT = "bench-shop"
_ROOT = Path(__file__).resolve().parents[2]
_MOST, _MOST_EMULATED = 900, 4 * 3600  # seconds that a command may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A container, its profile, the proof, and the attacks that succeed with and without the profile.

    Args:
        name: of the workload, and of the service where it is of a project.
        document: the profile.
        proof: the proof; None where none was asked for.
        seconds: from the container to the proven profile.
        before: the attacks that are possible under the engine's defaults.
        after: the attacks that are possible under the profile.
        worked: the operations beyond the exercise that work under the engine's defaults.
        works: the operations that work under the profile.
    """

    name: str
    document: Document
    proof: ProofDocument | None
    seconds: float
    before: frozenset[str]
    after: frozenset[str]
    worked: frozenset[str]
    works: frozenset[str]


class CommandError(Exception):
    """A command of hardener has failed."""


@contextmanager
def container(engine: Engine, workload: Workload, built: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Run a workload under the engine's defaults; yield the names of its containers."""
    image = f"workloads-{workload.name}"
    engine.build(image, workload.dockerfile, workload.sources(built))
    if workload.services:
        yield from _project(engine, workload)
        return
    body = {"Image": image, "HostConfig": {**workload.host_config, "PublishAllPorts": True}}
    engine.api("POST", f"/containers/create?name={workload.name}", body)
    try:
        engine.api("POST", f"/containers/{workload.name}/start")
        _require_running(engine, workload.name)
        yield [workload.name]
    finally:
        engine.api("DELETE", f"/containers/{workload.name}?force=1&v=1")


def prove(
    engine: Engine,
    workload: Workload,
    names: list[str],
    folder: Path,
    *,
    starts: int = STARTS,
    operate: bool = True,
) -> list[Proven]:
    """Record, profile and prove a workload; attack each container under the defaults and under the profile.

    Args:
        engine: runs it.
        workload: the workload.
        names: of its containers.
        folder: for the files.
        starts: how often each is started under its profile; 0 for no proof.
        operate: whether the operations beyond the exercise are tried too.

    Raises:
        CommandError: a command failed; what it said is told.
    """
    began = time.monotonic()
    compose = ["--compose", str(_COMPOSE)] if workload.services else names
    hardener(engine, "record", *compose, "--run", workload.exercise, "--out", str(folder))
    recorded = time.monotonic() - began
    found = []
    for name in names:
        service = _service(engine, name)
        began = time.monotonic()
        files = sorted(
            folder.glob(f"recording-bench-shop-{service}@*.json" if service else "recording-*.json")
        )
        profile = folder / f"{name}-profile"
        hardener(engine, "profile", *map(str, files), "--out", str(profile))
        proof = None
        if starts:
            exercise = ("--run", workload.exercise, "--starts", str(starts), "--for", f"{_most(engine)}s")
            hardener(engine, "prove", str(profile), *exercise, allowed=(0, 3, 4))
            proof = ProofDocument.model_validate_json((profile / "proof.json").read_text())
        seconds = recorded + time.monotonic() - began
        if operate:  # a container that serves has given up root
            operations.succeeds(engine, name, workload.exercise)
        before = attacks(engine, name)
        worked = operations.worked(engine, workload, name) if operate else frozenset()
        if operate and (failed := workload.operations.keys() - worked):
            print(f"{name}: fails under the defaults: {', '.join(sorted(failed))}", file=sys.stderr)
        with confined(engine, name, profile) as under:
            if operate:
                operations.succeeds(engine, under, workload.exercise)
            after = attacks(engine, under)
            works = operations.worked(engine, workload, under) if operate else frozenset()
        found.append(
            Proven(
                name=f"{workload.name} {service}".strip(),
                document=load(profile),
                proof=proof,
                seconds=seconds,
                before=before,
                after=after,
                worked=worked,
                works=works,
            )
        )
    return found


def attacks(engine: Engine, name: str) -> frozenset[str]:
    """Return the attacks that succeed inside a container, with the container's rights."""
    return frozenset(attack for attack in ATTACKS if _attack(engine, name, attack) == _POSSIBLE)


def hardener(engine: Engine, *words: str, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command of ``hardener workload`` on this machine, for an engine's host; return its output.

    Raises:
        CommandError: its exit code is none of those that are allowed.
    """
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    environment["HARDENER_HOME"] = str(engine.socket.with_name("history"))
    environment["PYTHONPATH"] = f"{_ROOT}:{_ROOT / '.collections'}"
    reached = ("-i", str(engine.inventory)) if engine.inventory and words[0] != "profile" else ()
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "workload", *words, *reached],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_most(engine),
    )
    if done.returncode not in allowed:
        raise CommandError(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stdout


@contextmanager
def confined(engine: Engine, name: str, profile: Path, *, image: str = "") -> Iterator[str]:
    """Run a copy of a container under a profile; yield the name of the copy.

    Args:
        engine: runs it.
        name: of the container.
        profile: the folder of the profile.
        image: another image than the container's; empty for its own.
    """
    original = engine.api("GET", f"/containers/{name}/json")
    options = shlex.split((profile / "docker-run.txt").read_text())
    if any(option.startswith("--security-opt=apparmor=") for option in options):
        with (profile / "apparmor").open() as text:
            subprocess.run(engine.on_host("apparmor_parser", "--replace"), stdin=text, check=True)
    options = [option.replace("seccomp=", f"seccomp={profile}/", 1) for option in options]
    networks = original["NetworkSettings"]["Networks"]
    under = f"{name}-confined"
    words = ["run", "--detach", f"--name={under}", f"--network={next(iter(networks))}", *options]
    words += [f"--volume={mount['Destination']}" for mount in original["Mounts"]]
    words += [
        f"--sysctl={key}={value}" for key, value in (original["HostConfig"].get("Sysctls") or {}).items()
    ]
    if user := original["Config"]["User"]:
        words += [] if any(option.startswith("--user") for option in options) else [f"--user={user}"]
    # The entrypoint is the image's: a service of a project has none of its own.
    engine.docker(*words, image or original["Config"]["Image"], *(original["Config"]["Cmd"] or ()))
    try:
        _require_running(engine, under)
        yield under
    finally:
        engine.api("DELETE", f"/containers/{under}?force=1&v=1")


def _most(engine: Engine) -> int:
    """Return the seconds that a command may take."""
    return _MOST_EMULATED if engine.inventory else _MOST


def _attack(engine: Engine, name: str, attack: str) -> int:
    """Run an attack as `docker exec` does; return its exit code.

    Raises:
        CommandError: it was not tried.
    """
    done = subprocess.run(
        ["docker", "--host", engine.host, "exec", name, "/attack", attack],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if _NOT_LOADED in done.stderr:  # the shell was executed, and then refused a call
        return _REFUSED
    if done.returncode not in (_POSSIBLE, _REFUSED):
        said = done.stderr or done.stdout
        raise CommandError(f"the attack {attack} in {name} ended with {done.returncode}: {said}")
    return done.returncode


def _project(engine: Engine, workload: Workload) -> Iterator[list[str]]:
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    command = ["docker", "compose", "-f", str(_COMPOSE)]
    up = [*command, "up", "--detach", "--no-build", "--pull=never"]
    subprocess.run(up, env=environment, check=True, capture_output=True)
    try:
        yield [f"{_PROJECT}-{service}-1" for service in workload.services]
    finally:
        down = [*command, "down", "--volumes", "--timeout=2"]
        subprocess.run(down, env=environment, check=True, capture_output=True)


def _service(engine: Engine, name: str) -> str:
    labels: dict[str, Any] = engine.api("GET", f"/containers/{name}/json")["Config"]["Labels"] or {}
    return str(labels.get("com.docker.compose.service") or "")


def _require_running(engine: Engine, name: str) -> None:
    """Wait a second, and require that a container still runs.

    Raises:
        CommandError: it ended.
    """
    time.sleep(1)
    state = engine.api("GET", f"/containers/{name}/json")["State"]
    if not state["Running"]:
        logs = engine.docker("logs", name)
        raise CommandError(f"{name} ended with {state['ExitCode']}: {json.dumps(logs)}")
