"""Detect an exercise that reaches the original in place of its twin."""

from __future__ import annotations

import json
import time
from typing import Any, Iterable, Mapping

from ..host.errors import Failed
from ..host.text import shown
from .engine import Engine

_CREATED = "exec_create: "  # begins the action of an engine's event; the command follows


def checked(
    exercise: Mapping[str, Any], engine: Engine, originals: Iterable[Mapping[str, Any]], since: float
) -> Mapping[str, Any]:
    """Return the result of an exercise; one that executed a command in an original has failed.

    Args:
        exercise: ``problem``, empty where it went well.
        engine: the engine.
        originals: inspect data of the containers.
        since: when it could begin, in seconds.
    """
    return {**exercise, "problem": exercise.get("problem") or executed(engine, originals, since)}


def executed(engine: Engine, originals: Iterable[Mapping[str, Any]], since: float) -> str:
    """Describe a command that was executed in an original; return an empty text if there is none.

    Health checks do not count. The engine remembers its last events only, so that one may be missed.

    Args:
        engine: the engine.
        originals: inspect data of the containers.
        since: a moment, in seconds.
    """
    by_id = {str(each["Id"]): each for each in originals}
    filters = json.dumps({"container": sorted(by_id), "event": ["exec_create"]})
    query = {"since": f"{since:.6f}", "until": f"{time.time():.6f}", "filters": filters}
    try:
        events = [json.loads(line) for line in engine.ask("GET", "/events", query=query).splitlines()]
    except (Failed, ValueError):
        return ""
    for event in events:
        original = by_id.get(str(event.get("id")))
        command = str(event.get("Action")).partition(_CREATED)[2]
        if original is not None and command and command != " ".join(health_words(original)):
            name = original["Name"].lstrip("/")
            ran = f"`{shown(command, 100)}` was executed in {name} itself"
            return f"{ran}, and not in its twin: give it by --run-in"
    return ""


def health_words(original: Mapping[str, Any]) -> list[str]:
    """Return the command of a container's health check; empty for none."""
    test = (original["Config"].get("Healthcheck") or {}).get("Test") or []
    if not test or test[0] == "NONE":
        return []
    shell = original["Config"].get("Shell") or ["/bin/sh", "-c"]
    return [*shell, *test[1:2]] if test[0] == "CMD-SHELL" else list(test[1:])
