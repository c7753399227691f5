"""Query the engine for a transaction, and start containers."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Callable

from ..docker import client
from ..docker.http import NoAnswer, NotFound
from ..host.text import one_line
from . import system
from .errors import Failed
from .planning import redacted

_PATIENCE = 60  # seconds for all containers: an engine may hold the lock of one for ever
_SLOWEST = 20  # seconds for one
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Engine(client.Engine):
    """The engine behind a Unix socket."""

    def info(self) -> dict[str, Any] | None:
        """Return the engine's /info, None if it does not answer."""
        try:
            answer: dict[str, Any] = self.get("/info")
        except NoAnswer:
            return None
        return answer

    def bridge(self) -> dict[str, str]:
        """Return the options of the default bridge; none if there is no such network."""
        try:
            return self.get("/networks/bridge")["Options"] or {}
        except NotFound:
            return {}

    def running(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the inspect data of running containers; and by name, why an inspection failed."""
        found, unread = self.containers("/containers/json")
        return [container for container in found if container["State"].get("Running")], unread

    def containers(
        self, listing: str = "/containers/json?all=1"
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the inspect data of the listed containers, by default all; and by name, why one failed.

        What is not inspected after ``_PATIENCE`` counts among the latter.
        """
        found: list[dict[str, Any]] = []
        unread: dict[str, str] = {}
        deadline = time.monotonic() + _PATIENCE
        for container in self.get(listing) or ():
            try:
                seconds = min(_SLOWEST, deadline - time.monotonic())
                found.append(self.inspect(container["Id"], seconds=seconds))
            except NotFound:  # ended since it was listed
                continue
            except NoAnswer as error:
                names = container.get("Names")
                name = (
                    str(names[0]).lstrip("/") if isinstance(names, list) and names else container["Id"][:12]
                )
                unread[one_line(name)] = str(error)
        return found, unread

    def inspect(self, container: str, *, seconds: float = _SLOWEST) -> dict[str, Any]:
        """Return the inspect data of a container.

        Args:
            container: its id or name.
            seconds: until it must be answered.

        Raises:
            NotFound: it is gone.
        """
        if not _CONTAINER.fullmatch(container):
            raise NotFound(f"{container!r} is not a container")
        answer: dict[str, Any] = self.get(f"/containers/{container}/json", seconds=seconds)
        return answer

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            NoAnswer: it does not start.
        """
        if not _CONTAINER.fullmatch(container):
            raise NotFound(f"{container!r} is not a container")
        self.ask("POST", f"/containers/{container}/start", accept=(304,))

    def pid(self) -> int:
        """Return the process id of the listener on the socket.

        Raises:
            NoAnswer: nothing listens.
        """
        with self.connect(seconds=20) as connection:  # a hanging engine accepts no connections
            return connection.peer()[0]


def wait_for(what: str, ready: Callable[[], bool], *, seconds: float) -> None:
    """Wait until a condition holds.

    Raises:
        Failed: it did not become so in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise Failed(f"{what} within {seconds:.0f} s")
        time.sleep(0.1)


def state(name: str) -> dict[str, str]:
    """Return the state of the engine's unit; ``asleep`` if a request would start it by its socket."""
    if not system.has_systemd():
        return {}
    outcome = system.run(
        "systemctl", "show", "--property=ActiveState,KillMode,MainPID,TriggeredBy", "--", name
    )
    unit = dict(line.split("=", 1) for line in outcome.output.splitlines() if "=" in line)
    if unit.get("ActiveState") != "active" and unit.get("TriggeredBy"):
        sockets = unit["TriggeredBy"].split()
        if "active" in system.run("systemctl", "is-active", "--", *sockets).output.splitlines():
            unit["asleep"] = "yes"
    return unit


def last_words(dockerd: str, *, since: float, former: str) -> str:
    """Return the last error line that the engine has logged since a time; empty if there is none.

    Lines of the ``former`` process, written while it stopped, are left out.
    """
    said_by = f"--identifier={os.path.basename(dockerd or 'dockerd')}"
    fields = ("--output=json", "--output-fields=MESSAGE,_PID")
    outcome = system.run("journalctl", said_by, f"--since=@{since:.6f}", "--lines=20", "--quiet", *fields)
    for entry in map(json.loads, reversed(outcome.output.splitlines())):
        line = str(entry.get("MESSAGE"))
        if entry.get("_PID") == former or any(f"level={mild}" in line for mild in ("info", "debug", "warn")):
            continue
        found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
        return redacted(" ".join((found.group(1) if found else line).split())[:400])
    return ""
