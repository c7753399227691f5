"""Compare the containers that ran before a change with those after it, to find lost ones.

A container that ends by itself while the engine runs is reported and does not count: that happens every day.
A failure is a container that stopped with the engine and is not running again, cannot be started, or restarts
repeatedly and did not before. A container that restarted repeatedly before is not judged.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ..docker.http import NoAnswer
from ..docker.losses import SERVICES, Loss
from .engine import Engine

Windows = Sequence[Sequence[float]]  # intervals in which the engine was down, in seconds since the epoch

# Seconds of uptime after which a restarted container counts as running: the engine retries sooner.
SETTLED = 3
# Seconds that the engine gives a container to stop before it kills it: by default, and at most as it is
# waited for here.
_GRACE, _LONGEST_GRACE = 10, 600
_SHOWN = 10
_STEADY = 600  # seconds after which an earlier restart no longer matters
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z")
_SERVICE, _PROJECT = "com.docker.compose.service", "com.docker.compose.project"


class Verdict(NamedTuple):
    """The judgement of a container.

    Attributes:
        runs: whether it runs as before, so that its ports and its network can be probed.
        lost: it no longer runs.
        failing: it ends repeatedly.
        undecided: it was restarted just now, and may be again.
        note: remark that does not count as a failure.
    """

    runs: bool = False
    lost: bool = False
    failing: bool = False
    undecided: bool = False
    note: str = ""


def known(container: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """Return the data about a running container that a later comparison needs, as JSON data."""
    state = container["State"]
    restarts = int(container.get("RestartCount") or 0)
    up = now - (_seconds(state.get("StartedAt")) or now)
    return {
        "name": name(container),
        "restarts": restarts,
        "restless": bool(state.get("Restarting")) or (restarts > 0 and up < _STEADY),
        "task": is_task(container),
        "healthy": _health(state) == "healthy",
    }


def judge(
    before: Mapping[str, Any],
    container: Mapping[str, Any],
    *,
    away: Windows = (),
    stopped: bool = False,
    undone: bool = False,
    now: float,
) -> Verdict:
    """Judge a container after a change.

    Args:
        before: what was known of it.
        container: what the engine says of it now.
        away: when the engine was away.
        stopped: containers were stopped on purpose; those without a restart policy stay so.
        undone: so is the run that stopped them: all have to run again, whatever their policy and exit code.
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
        if stays and not undone and (stopped or well):
            return Verdict()
        return Verdict(lost=True)
    if undone and away and finished >= away[0][0] and not well and not before["restless"]:
        return Verdict(lost=True)  # it was started again, and did not stay up
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
    """Return whether a container stays down after the engine stopped it."""
    policy = (container["HostConfig"].get("RestartPolicy") or {}).get("Name")
    return policy in ("", "no", "on-failure", None) and not is_task(container)


def grace(container: Mapping[str, Any]) -> float:
    """Return the seconds after which the engine kills a container that it has been asked to stop."""
    seconds = (container.get("Config") or {}).get("StopTimeout")
    if not isinstance(seconds, int):
        return _GRACE
    return float(seconds if 0 <= seconds <= _LONGEST_GRACE else _LONGEST_GRACE)  # -1: for ever


def name(container: Mapping[str, Any]) -> str:
    """Return the name of a container."""
    return str(container.get("Name") or container.get("Id", "?")).lstrip("/")


def listed(names: Sequence[str]) -> str:
    """List names of containers for a message, with a limit."""
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)} containers ({shown}{', …' if len(names) > _SHOWN else ''})"


def excepted(container: Mapping[str, Any], exceptions: Iterable[str]) -> bool:
    """Return whether the exceptions exclude a container from the health check.

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
    """Parse a timestamp of the engine into seconds since the epoch; None if it is empty."""
    match = _TIME.fullmatch(str(text))
    if match is None or match[1].startswith("0001"):
        return None
    return timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) + float(match[2] or 0)


def is_task(container: Mapping[str, Any]) -> bool:
    """Return whether a container is a swarm task, which the swarm replaces."""
    labels = (container.get("Config") or {}).get("Labels") or {}
    return "com.docker.swarm.task.id" in labels


def running_tasks(engine: Engine) -> dict[str, int] | None:
    """Return the number of tasks that each service runs in the whole swarm; None if unknown.

    Only a manager knows, and only while the swarm has a quorum.
    """
    try:
        services = engine.get("/services?status=true")
    except NoAnswer:
        return None
    return {
        str(service["Spec"]["Name"]): int((service.get("ServiceStatus") or {}).get("RunningTasks") or 0)
        for service in services or ()
    }


def lost(before: Mapping[str, int], engine: Engine) -> list[Loss]:
    """Return the services that run fewer tasks than before, without removed services."""
    if not before:
        return []
    now = running_tasks(engine)
    if now is None:
        return [Loss(SERVICES, "swarm", "swarm", said="the manager of the swarm does not answer any more")]
    return [
        Loss(SERVICES, name, name, said=f"the service {name} runs only {now[name]} of {count} tasks")
        for name, count in before.items()
        if now.get(name, count) < count
    ]
