"""Record a container: start its twin on its host, exercise it from here, end the recording."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hardener.errors import HardenerError
from hardener.fleet import Event, Fleet, TaskResult
from hardener.text import line
from hardener.workload.assemble import recording
from hardener.workload.exercise import Exercise, Exerciser
from hardener.workload.recording import Recording

_MAX_PORTS = 1000


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


class Listener(Protocol):
    """Is told what happens."""

    def event(self, event: Event) -> None:
        """Ansible has done something."""

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
    host, begun = _stage(
        fleet,
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
        addresses = _addresses(host, begun)
        listener.ready(addresses)
        done = exercise(addresses)
        answer = _end(fleet, run, done, listener)
        ended = True
    finally:
        if not ended:  # the twin would go on for its time
            with suppress(HardenerError):
                _stage(fleet, {"record_stage": "abandon", "record_run": run}, listener)
    return recording(host, answer)


def _end(fleet: Fleet, run: str, done: Exercise, listener: Listener) -> Mapping[str, Any]:
    exercise = {"seconds": done.seconds, "problem": done.problem}
    host, answer = _stage(
        fleet, {"record_stage": "end", "record_run": run, "record_exercise": exercise}, listener
    )
    found = answer.get("recording")
    if not isinstance(found, Mapping):
        raise HardenerError(f"{line(host)}: it gave no recording")
    return found


def _stage(
    fleet: Fleet, variables: Mapping[str, object], listener: Listener
) -> tuple[str, Mapping[str, Any]]:
    """Do a stage on the host; its name, and its answer.

    Raises:
        HardenerError: it failed there, or there is not one host.
    """
    found: dict[str, TaskResult] = {}
    with fleet.run("record", variables=variables) as running:
        for event in running:
            listener.event(event)
            if isinstance(event, TaskResult) and event.action == "record":
                found[event.host] = event
    if len(running.outcomes) != 1:
        raise HardenerError(
            f"a container is on one host, and these are {len(running.outcomes)}", hint="name one with --limit"
        )
    ((host, outcome),) = running.outcomes.items()
    if not outcome.ended_well or host not in found:
        raise HardenerError(f"{line(host)}: {outcome.reason or 'it did not answer'}")
    return host, found[host].data


def _addresses(host: str, begun: Mapping[str, Any]) -> dict[str, str]:
    """Where the ports of the twin answer: part of an environment, so that a host can name nothing else."""
    found = begun.get("addresses")
    if not isinstance(found, Mapping) or len(found) > _MAX_PORTS:
        raise HardenerError(f"{line(host)}: its answer has no addresses")
    addresses = {}
    for port, address in found.items():
        head, _, number = str(address).partition(":")
        name, _, protocol = str(port).partition("_")
        if (
            head != "127.0.0.1"
            or not number.isdecimal()
            or not name.isdecimal()
            or protocol not in ("", "udp")
        ):
            raise HardenerError(f"{line(host)}: {line(str(address), 60)} is no address of a twin")
        addresses[str(port)] = str(address)
    return addresses
