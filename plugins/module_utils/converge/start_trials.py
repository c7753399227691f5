"""Try whether containers start: one with the engine's defaults, and one of each kind that runs.

Default limits, security options, a log driver or a kernel setting act when a container starts: running
containers stay healthy under a value with which none can start. The containers that are tried run a program
that waits. They have the limits and restrictions of their kind, and neither privileges of the host nor
networks, devices, volumes, or a restart policy. They are removed after the trial; after a loss of power the
engine itself removes them when it starts.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, Iterable, Mapping

from ..docker import waiting
from ..docker.client import quoted
from ..docker.http import NoAnswer, NotFound
from ..host.text import shown
from . import containers
from .engine import Engine

_LABEL = "hardener.try"
_NAME = "hardener-try"  # begins the names of containers and is the repository of the image
_MOST = 8  # kinds
_PATIENCE = 60.0  # seconds for all kinds
_LONGEST_ERROR = 300
_LOCAL_LOGS = ("json-file", "local", "journald", "none")
# Keys of HostConfig that a kind consists of; 0, empty and null are the engine's default.
_LIMITS = (
    *("CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus", "CpusetMems", "NanoCpus", "PidsLimit", "Ulimits"),
    *("Memory", "MemoryReservation", "MemorySwap", "OomScoreAdj", "ShmSize", "CgroupParent"),
)
_RESTRICTIONS = ("CapAdd", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Runtime", "Sysctls", "Init")
# Namespaces of these modes are the container's own; any other mode belongs to the host or to a container.
_OWN_NAMESPACES = {"IpcMode": ("private", "shareable", "none"), "CgroupnsMode": ("private",)}

Kinds = Mapping[str, Mapping[str, Any]]  # HostConfig by the name of a container; empty for the defaults


def kinds(running: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return one HostConfig for each kind of container, by the name of the first container; bounded.

    Args:
        running: inspect data of containers.
    """
    found: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    for container in running:
        kind = _kind(container["HostConfig"])
        key = json.dumps(kind, sort_keys=True)
        if key not in known and len(known) < _MOST:
            known.add(key)
            found[containers.name(container)] = kind
    return found


def _kind(host: Mapping[str, Any]) -> dict[str, Any]:
    kind = {key: host[key] for key in (*_LIMITS, *_RESTRICTIONS) if host.get(key)}
    own = {key: host[key] for key, modes in _OWN_NAMESPACES.items() if host.get(key) in modes}
    return {**kind, **own, "LogConfig": {"Type": "none"}}


class Starts:
    """The containers that start before a change, to be compared with those that start after it.

    Args:
        engine: the engine.
        run: the run, whose name the containers have.
    """

    def __init__(self, engine: Engine, run: str) -> None:
        self._engine = engine
        self._run = run
        self._worked: Kinds = {}
        self.notes: list[str] = []

    def try_before(self) -> None:
        """Determine what starts before the change; a note tells if that cannot be determined."""
        info = self._engine.info()
        if info is None:
            return
        try:
            clear(self._engine)
            wanted: Kinds = {"": _default(info), **kinds(self._engine.running()[0])}
            failed = _failing(self._engine, wanted, self._run)
        except NoAnswer as error:
            self.notes.append(f"not tried whether containers can still be started: {error}")
            return
        self._worked = {name: kind for name, kind in wanted.items() if name not in failed}

    def problems(self) -> list[str]:
        """Return what started before the change, and does not start any more."""
        if not self._worked:
            return []
        try:
            failed = _failing(self._engine, self._worked, self._run)
        except NoAnswer as error:
            return [f"no container can be created any more: {error}"]
        return [
            f"{f'a container like {name}' if name else 'a new container'} does not start any more: {why}"
            for name, why in failed.items()
        ]


def clear(engine: Engine) -> None:
    """Remove the containers and images of trials, also those that killed runs have left.

    A label alone may come from the image of another container: the name counts too.

    Raises:
        NoAnswer: the engine does not answer.
    """
    query = {"filters": json.dumps({"label": [_LABEL]})}
    for container in engine.get("/containers/json", {**query, "all": "1"}) or ():
        if any(str(name).startswith(f"/{_NAME}-") for name in container.get("Names") or ()):
            _remove(engine, f"/containers/{quoted(str(container['Id']))}?force=1&v=1")
    for image in engine.get("/images/json", query) or ():
        for tag in image.get("RepoTags") or ():
            if str(tag).startswith(f"{_NAME}:"):
                _remove(engine, f"/images/{quoted(str(tag))}?force=1")


def _default(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the HostConfig of a container with the engine's defaults, without a log on another host."""
    return {} if info.get("LoggingDriver") in _LOCAL_LOGS else {"LogConfig": {"Type": "none"}}


def _failing(engine: Engine, wanted: Kinds, run: str) -> dict[str, str]:
    """Return why containers do not start, by their kind; what is not tried in time is left out.

    Raises:
        NoAnswer: none can be created.
    """
    archive = waiting.image(os.uname().machine)
    if archive is None:
        raise NoAnswer("this architecture is not supported")
    deadline = time.monotonic() + _PATIENCE
    waiting.create_image(engine, archive, f"{_NAME}:{run}", f"{_LABEL}={run}")
    failed: dict[str, str] = {}
    try:
        for number, (name, kind) in enumerate(wanted.items()):
            if time.monotonic() < deadline:
                why = _start(engine, kind, run, number)
                failed.update({name: why} if why else {})
    finally:
        with suppress(NoAnswer):
            clear(engine)
    return failed


def _start(engine: Engine, kind: Mapping[str, Any], run: str, number: int) -> str:
    """Create and start a container; return why that failed, empty if it runs."""
    body = {
        "Image": f"{_NAME}:{run}",
        "Cmd": [waiting.COMMAND],
        "Labels": {_LABEL: run},
        "HostConfig": {"NetworkMode": "none", "AutoRemove": True, **kind},
    }
    try:
        made = engine.call("POST", "/containers/create", body, query={"name": f"{_NAME}-{run}-{number}"})
        engine.start(str(made["Id"]))
    except NoAnswer as error:
        return shown(str(error), _LONGEST_ERROR)
    return ""


def _remove(engine: Engine, path: str) -> None:
    with suppress(NotFound):
        engine.ask("DELETE", path)
