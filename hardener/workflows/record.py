"""Record a container: start its twin on its host, exercise it from here, end the recording."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.text import line
from hardener.workflows import twins
from hardener.workload.assemble import recording
from hardener.workload.exercise import Exercise, Exerciser
from hardener.workload.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """What is recorded.

    Args:
        container: its name or id.
        seconds: how long the exercise may take.
        run_in: a command to be run in the twin, as an exercise; empty for none.
        socket: the engine's socket; empty where the host finds it.
    """

    container: str
    seconds: int
    run_in: tuple[str, ...] = ()
    socket: str = ""


class Listener(twins.EventListener, Protocol):
    """Is told what happens."""

    def ready(self, addresses: Mapping[str, str]) -> None:
        """The twin serves, at these addresses by its ports."""


def record(fleet: Fleet, request: RecordRequest, *, exercise: Exerciser, listener: Listener) -> Recording:
    """Record a container on the one host of a fleet.

    Args:
        fleet: the host.
        request: what is recorded.
        exercise: exercises the twin.
        listener: is told what happens.

    Raises:
        HardenerError: there is no one host, the container cannot be recorded, or the recording is lost.
    """
    host, begun = twins.stage(
        fleet,
        "record",
        {
            "record_stage": "begin",
            "record_container": request.container,
            "record_seconds": request.seconds,
            "record_run_in": list(request.run_in),
            "record_socket": request.socket,
        },
        listener,
    )
    run = str(begun.get("run"))
    ended = False
    try:
        served = twins.addresses(host, begun)
        listener.ready(served)
        done = exercise(served)
        answer = _end(fleet, run, done, listener)
        ended = True
    finally:
        if not ended:  # the twin would go on for its time
            with suppress(HardenerError):
                twins.stage(fleet, "record", {"record_stage": "abandon", "record_run": run}, listener)
    return recording(host, answer)


def _end(fleet: Fleet, run: str, done: Exercise, listener: Listener) -> Mapping[str, Any]:
    exercise = {"seconds": done.seconds, "problem": done.problem}
    host, answer = twins.stage(
        fleet, "record", {"record_stage": "end", "record_run": run, "record_exercise": exercise}, listener
    )
    found = answer.get("recording")
    if not isinstance(found, Mapping):
        raise HardenerError(f"{line(host)}: it gave no recording")
    return found
