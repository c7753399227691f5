"""Check swarm services: if a task ends, the swarm starts another one, on this node or another."""

from __future__ import annotations

from typing import Any, Mapping

from ..docker.http import NoAnswer
from .engine import Engine


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


def lost(before: Mapping[str, int], engine: Engine) -> list[str]:
    """Return the services that run fewer tasks than before, without removed services."""
    if not before:
        return []
    now = running_tasks(engine)
    if now is None:
        return ["the manager of the swarm does not answer any more"]
    return [
        f"the service {name} runs only {now[name]} of {count} tasks"
        for name, count in before.items()
        if now.get(name, count) < count
    ]
