"""Record containers: start their twins on the host, exercise them, and write the recording."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hardener.errors import HardenerError
from hardener.files import write_text
from hardener.fleet import Fleet
from hardener.fleet.answers import Watcher
from hardener.fleet.interrupts import interruptible
from hardener.text import line
from hardener.workflows import twins
from hardener.workload.assemble import recording
from hardener.workload.exercise import Exercise, Exerciser
from hardener.workload.project import Project
from hardener.workload.recording import Recording

_MAX_RECORDINGS = 100
_LONGEST_NAME = 100  # characters of a container or a service in the name of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """A request for a recording of a container or a project.

    Args:
        seconds: how long the exercise may take.
        container: its name or id; empty for a project.
        project: the project; None for a container.
        run_in: a command that exercises a twin from within; empty for none.
        run_in_service: the service or container in whose twin it runs; empty for the recorded container.
        same_network: whether the twins join the networks of their originals.
        restart: whether the container itself is restarted and recorded, in place of a twin.
        forward: whether a command of this machine exercises the twins, by ports that are forwarded to them.
            A command, here or in a twin, is run a second time for containers with volumes.
        install: whether the host may fetch the recorder's tool for this run.
        socket: the engine's socket; empty where the host finds it.
        local: whether the host is this machine, so that the recording ends with this process.
    """

    seconds: int
    container: str = ""
    project: Project | None = None
    run_in: tuple[str, ...] = ()
    run_in_service: str = ""
    same_network: bool = False
    restart: bool = False
    forward: bool = False
    install: bool = False
    socket: str = ""
    local: bool = False


class Listener(Watcher, Protocol):
    """Receives the progress of a recording."""

    def ready(self, addresses: Mapping[str, str], problems: Sequence[str]) -> None:
        """Report that the twins run and can be exercised.

        Args:
            addresses: of the twins, by port.
            problems: remains of earlier runs.
        """

    def warn(self, problems: Sequence[str]) -> None:
        """Report problems that do not affect the result, such as twins that could not be removed."""

    def given_up(self, *, removed: bool, restarted: bool = False) -> None:
        """Report that the recording was aborted.

        Args:
            removed: whether all that the recording created is known to be removed.
            restarted: whether the container itself was recorded.
        """


def record(
    fleet: Fleet, request: RecordRequest, *, exercise: Exerciser, listener: Listener
) -> list[Recording]:
    """Record a container, or every service of a project, on the one host of a fleet.

    Args:
        fleet: the host.
        request: what is recorded.
        exercise: exercises the twins.
        listener: receives the progress.

    Raises:
        HardenerError: the fleet is not exactly one host, the container cannot be recorded, or the recording
            is lost.
    """
    run = secrets.token_hex(8)
    begun = ended = False
    try:
        host, answer = twins.stage(fleet, "record", _beginning(request, run), listener, socket=request.socket)
        begun = True
        with interruptible(), twins.tunnel(host, answer, forward=request.forward) as tunnel:
            listener.ready(tunnel.addresses, [*twins.problems(answer), *tunnel.missing])
            done = tunnel.exercised(exercise)
            if answer.get("empty"):
                _fill(fleet, request, run, done, listener)
                done = tunnel.exercised(exercise)
        answers = _end(fleet, request, run, done, listener)
        ended = True
    except BaseException as error:
        # A stage that failed has removed everything; after an interruption the stage continues on the host.
        if (begun or isinstance(error, KeyboardInterrupt)) and not ended:
            removed = _abandoned(fleet, run, listener)
            listener.given_up(removed=removed, restarted=request.restart)
        raise
    return [recording(host, each) for each in answers]


def write(recordings: Sequence[Recording], folder: Path, *, container: str) -> list[tuple[Recording, Path]]:
    """Write recordings into a folder, each into a file named after its container, its time and its digest.

    Args:
        recordings: of a container or a project.
        folder: is made if it does not exist.
        container: the name that was asked for; empty for a project.

    Raises:
        HardenerError: a file cannot be written; all others are.
    """
    written = []
    problems = []
    for each in recordings:
        path = folder / _file_name(each, container)
        try:
            write_text(path, each.dump())
            written.append((each, path))
        except HardenerError as error:
            problems.append(error)
    if problems:
        names = ", ".join(str(path) for _, path in written)
        hint = f"the other recordings are written: {line(names, 2000)}" if written else problems[0].hint
        raise HardenerError("; ".join(each.message for each in problems), hint=hint) from problems[0]
    return written


def _file_name(recording: Recording, container: str) -> str:
    compose = recording.container.compose
    name = container or (
        f"{compose.project}-{compose.service}" if compose is not None else recording.container.name
    )
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST_NAME]
    stamp = recording.began.replace("-", "").replace(":", "")
    digest = recording.digest.partition(":")[2][:8]  # two recordings can begin in the same second
    return f"recording-{name}@{stamp}-{digest}.json"  # no name contains @, so a pattern finds one name only


def _beginning(request: RecordRequest, run: str) -> dict[str, object]:
    return {
        "stage": "begin",
        "run": run,
        "container": request.container,
        "compose": request.project.arguments() if request.project else {},
        "seconds": request.seconds,
        "run_in": list(request.run_in),
        "run_in_service": request.run_in_service,
        "network": "same" if request.same_network else "own",
        "restart": request.restart,
        "repeats": request.forward or bool(request.run_in),
        "install": request.install,
        "forward": request.forward,
        "owner": twins.this_process() if request.local else {},
    }


def _abandoned(fleet: Fleet, run: str, listener: Listener) -> bool:
    """Abort a run; return whether all its twins are known to be removed."""
    try:
        twins.stage(fleet, "record", {"stage": "abandon", "run": run}, listener)
    except HardenerError:
        return False
    return True


def _fill(fleet: Fleet, request: RecordRequest, run: str, done: Exercise, listener: Listener) -> None:
    """End the exercise with empty volumes."""
    filling = {"stage": "fill", "run": run, "seconds": request.seconds, "exercise": done.result()}
    _host, answer = twins.stage(fleet, "record", filling, listener)
    listener.warn(twins.problems(answer))


def _end(
    fleet: Fleet, request: RecordRequest, run: str, done: Exercise, listener: Listener
) -> list[Mapping[str, Any]]:
    ending = {"stage": "end", "run": run, "seconds": request.seconds, "exercise": done.result()}
    host, answer = twins.stage(fleet, "record", ending, listener)
    listener.warn(twins.problems(answer))
    found = answer.get("recordings")
    if (
        not isinstance(found, list)
        or not 1 <= len(found) <= _MAX_RECORDINGS
        or not all(isinstance(each, Mapping) for each in found)
    ):
        raise HardenerError(f"{line(host)}: the host returned no recording")
    return found
