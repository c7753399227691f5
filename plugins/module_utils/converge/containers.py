"""What has become of the containers that ran before a change, and whether that counts against it.

A container that ends by itself while the engine runs is named and does not count: containers do that every
day. What counts is that one ended with the engine and is not there again, cannot be started, or is restarted
again and again as it was not before. One that was restless already is not judged at all.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from . import swarm

Windows = Sequence[Sequence[float]]  # from when until when the engine was away, in seconds since the epoch

SETTLED = 3  # seconds that a container has run after it was restarted: an engine waits less between two tries
_SHOWN = 10
_STEADY = 600  # seconds after which an earlier restart is over and done with
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z")
_SERVICE, _PROJECT = "com.docker.compose.service", "com.docker.compose.project"


class Verdict(NamedTuple):
    """What has become of a container.

    Attributes:
        runs: whether it runs as it did, so that its ports and its network can be asked for.
        lost: it is not there again.
        failing: it ends again and again.
        undecided: it was restarted just now, and may be again.
        note: what is told of it without counting.
    """

    runs: bool = False
    lost: bool = False
    failing: bool = False
    undecided: bool = False
    note: str = ""


def known(container: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """What has to be known of a container that runs, to judge later what has become of it; JSON data."""
    state = container["State"]
    restarts = int(container.get("RestartCount") or 0)
    up = now - (_seconds(state.get("StartedAt")) or now)
    return {
        "name": name(container),
        "restarts": restarts,
        "restless": bool(state.get("Restarting")) or (restarts > 0 and up < _STEADY),
        "task": swarm.is_task(container),
        "healthy": _health(state) == "healthy",
    }


def judge(
    before: Mapping[str, Any],
    container: Mapping[str, Any],
    *,
    away: Windows = (),
    stopped: bool = False,
    now: float,
) -> Verdict:
    """Judge what has become of a container.

    Args:
        before: what was known of it.
        container: what the engine says of it now.
        away: when the engine was away.
        stopped: containers were stopped on purpose; those without a restart policy stay so.
        now: what time it is.
    """
    state, called = container["State"], before["name"]
    if state.get("Dead") or state.get("Status") == "removing":
        return Verdict(note=f"{called} was removed meanwhile")
    restarts = int(container.get("RestartCount") or 0) - before["restarts"]
    if state.get("Running") or state.get("Restarting"):
        return _of_running(before, state, restarts, now=now)
    if before["task"]:
        return Verdict()  # its swarm starts another
    finished = _seconds(state.get("FinishedAt"))
    if finished is None or state.get("Error"):
        return Verdict(lost=True)
    well, stays = state.get("ExitCode") == 0, stays_down(container)
    if any(begin <= finished <= end for begin, end in away):
        if stays and (stopped or well):
            return Verdict()
        return Verdict(lost=True)
    if restarts > 0 and not well and not before["restless"]:
        return Verdict(failing=True)
    return Verdict(note=f"{called} ended by itself {_ending(state, finished)}, while the engine ran")


def _of_running(before: Mapping[str, Any], state: Mapping[str, Any], restarts: int, *, now: float) -> Verdict:
    called = before["name"]
    if state.get("Paused"):
        return Verdict(note=f"{called} is paused")
    if state.get("Restarting") and restarts <= 0:
        return Verdict(undecided=not before["restless"])
    if restarts <= 0 or before["task"]:
        sick = before["healthy"] and _health(state) == "unhealthy"
        return Verdict(runs=True, note=f"{called} is unhealthy by its own check" if sick else "")
    if before["restless"]:
        return Verdict(note=f"{called} is restarted again and again, as it was before")
    if restarts > 1:
        return Verdict(failing=True)
    up = now - (_seconds(state.get("StartedAt")) or now)
    settled = not state.get("Restarting") and up >= SETTLED
    note = f"{called} ended by itself, and was restarted"
    return Verdict(runs=settled, undecided=not settled, note=note)


def stays_down(container: Mapping[str, Any]) -> bool:
    """Whether nobody starts a container again that the engine stopped itself."""
    policy = (container["HostConfig"].get("RestartPolicy") or {}).get("Name")
    return policy in ("", "no", "on-failure", None) and not swarm.is_task(container)


def name(container: Mapping[str, Any]) -> str:
    """What a container is called."""
    return str(container.get("Name") or container.get("Id", "?")).lstrip("/")


def listed(names: Sequence[str]) -> str:
    """Names of containers for a message, not too many."""
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)} containers ({shown}{', …' if len(names) > _SHOWN else ''})"


def excepted(container: Mapping[str, Any], exceptions: Iterable[str]) -> bool:
    """Whether a container is not to be judged.

    Args:
        container: what the engine says of it.
        exceptions: names; ``label=KEY`` or ``label=KEY=VALUE``; ``service=NAME`` or ``service=PROJECT/NAME``
            of compose.
    """
    labels = (container.get("Config") or {}).get("Labels") or {}
    service = str(labels.get(_SERVICE) or "")
    services = (service, f"{labels.get(_PROJECT)}/{service}") if service else ()
    for each in exceptions:
        kind, _separator, rest = each.partition("=")
        key, given, value = rest.partition("=")
        if each == name(container) or (kind == "service" and rest in services):
            return True
        if kind == "label" and key in labels and (not given or str(labels[key]) == value):
            return True
    return False


def _ending(state: Mapping[str, Any], finished: float) -> str:
    memory = ", out of memory" if state.get("OOMKilled") else ""
    when = time.strftime("%H:%M:%S", time.gmtime(finished))
    return f"at {when} UTC (exit code {state.get('ExitCode')}{memory})"


def _health(state: Mapping[str, Any]) -> str:
    return str((state.get("Health") or {}).get("Status") or "")


def _seconds(text: Any) -> float | None:
    """A time of the engine's in seconds since the epoch; None where it has none."""
    match = _TIME.fullmatch(str(text))
    if match is None or match[1].startswith("0001"):
        return None
    return timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) + float(match[2] or 0)
