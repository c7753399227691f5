"""Read the engine's events and containers from its socket, in a thread that reconnects after errors."""

from __future__ import annotations

import json
import posixpath
import re
import threading
import time
from queue import Full, Queue
from typing import Any, Iterator, Mapping, NamedTuple
from urllib.parse import quote

from ..docker import client
from ..docker.api import Connection
from ..docker.client import Lines
from ..docker.http import NoAnswer, NotFound
from ..host import limited_json
from ..host.text import NAME, SHORT, shown
from .containers import Container, Directory
from .records import HIGH, LOW, MEDIUM

_LIST = 16 * 1024 * 1024
# Bytes; parsed JSON takes up to 20 times that, and an image may have a million labels.
_CONTAINER = 1024 * 1024
_LINE = 1024 * 1024  # bytes; an event carries all labels of its container
# A list carries all labels of all containers, so it is searched and not parsed. Quotes inside labels are
# escaped.
_IDENTITY = re.compile(rb'"Id": ?"([0-9a-f]{64})"')
_WAITING = 4096
_TIMEOUT = 20
_PAUSES = (1, 2, 5, 10, 30)
_FILTERS = quote(json.dumps({"type": ["container"]}))


class Engine:
    """Reads the engine's events, updates the list of containers, and queues remarkable events.

    ``problem`` says why the engine cannot be read at present; ``cuts`` counts lost connections, ``lost``
    counts the events that were dropped because they were too many or too long.
    """

    def __init__(self, path: str, directory: Directory) -> None:
        self.happenings: Queue[EngineEvent] = Queue(_WAITING)
        self.problem = "the engine has not answered yet"
        self.cuts = 0
        self.lost = 0
        self.ready = threading.Event()  # set once the running containers are known, or cannot be read
        self._path = path
        self._directory = directory
        self._since = time.time_ns()
        self._heard = False  # whether this connection has delivered anything

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        failures = 0
        while True:
            self._heard = False
            try:
                self._listen()
                self.problem = "the engine has ended the connection"
            except Exception as error:  # without this nothing would report that the thread has ended
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self.problem = shown(f"{self._path}: {reason}", 300)
            if self._heard:
                self.cuts += 1
                failures = 0
            self.ready.set()
            time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1

    def _listen(self) -> None:
        """Read events until the connection ends."""
        since = f"{self._since // 10**9}.{self._since % 10**9:09d}"
        with Connection(self._path, idle=_TIMEOUT) as connection:
            lines = Lines(connection.open("GET", f"/events?filters={_FILTERS}&since={since}"))
            connection.wait_for_ever()  # there may be no event for days
            self._learn_all()
            self.problem = ""
            self._heard = True
            self.ready.set()
            while True:
                text = lines.next(_LINE)
                if not text:
                    return
                if not text.endswith(b"\n") and len(text) >= _LINE:
                    self.lost += 1
                    while text and not text.endswith(b"\n"):
                        text = lines.next(_LINE)
                    continue
                self._handle(limited_json.parse(text))

    def _handle(self, event: Any) -> None:
        if not isinstance(event, dict):
            return
        actor = event.get("Actor")
        identity = str(actor.get("ID", "")) if isinstance(actor, dict) else ""
        nanoseconds = event.get("timeNano")
        if isinstance(nanoseconds, int):
            self._since = max(self._since, nanoseconds + 1)
        action = str(event.get("Action", ""))
        if not identity:
            return
        if action in ("create", "start"):
            self._learn(identity)
        elif action in ("die", "destroy"):
            self._directory.end(identity, time.time())
        container = self._directory.get(identity)
        if not container.name:
            attributes = actor.get("Attributes") if isinstance(actor, dict) else None
            attributes = attributes if isinstance(attributes, dict) else {}
            container = container._replace(
                name=shown(str(attributes.get("name", "")), NAME),
                image=shown(str(attributes.get("image", "")), NAME),
            )
            self._directory.put(container._replace(ended=time.time(), inspected=False))
        for happening in reported_events(event, container):
            try:
                self.happenings.put_nowait(happening)
            except Full:
                self.lost += 1

    def _learn_all(self) -> None:
        """Add all running containers to the list of containers, and mark the others as ended."""
        body = self._get("/containers/json", _LIST)
        if not body.rstrip().endswith(b"]"):
            raise ValueError(f"the engine answers with {len(body)} bytes, which is not a list")
        known = {identity.decode() for identity in _IDENTITY.findall(body)}
        for gone in self._directory.running():
            if gone.identity not in known:
                self._directory.end(gone.identity, time.time())
        for identity in sorted(known):
            self._learn(identity)

    def _learn(self, identity: str) -> None:
        try:
            inspected = limited_json.parse(
                self._get(f"/containers/{quote(identity, safe='')}/json", _CONTAINER)
            )
        except NotFound:  # it ended after it was listed
            return
        except (NoAnswer, ValueError):
            inspected = None
        if isinstance(inspected, dict):
            self._directory.put(container(identity, inspected))
        else:
            self.lost += 1

    def _get(self, path: str, limit: int) -> bytes:
        """Return the engine's answer to a GET request, of at most `limit` bytes."""
        return client.Engine(self._path).ask("GET", path, seconds=_TIMEOUT, limit=limit)


def container(identity: str, inspected: Mapping[str, Any]) -> Container:
    """Parse the relevant part of ``/containers/ID/json``."""
    config, host, state = (_object(inspected, key) for key in ("Config", "HostConfig", "State"))
    pid = state.get("Pid")
    profile = str(inspected.get("AppArmorProfile") or "")[:200]
    return Container(
        identity,
        shown(str(inspected.get("Name", "")).lstrip("/"), NAME),
        shown(str(config.get("Image") or inspected.get("Image") or ""), NAME),
        profile,
        str(inspected.get("ProcessLabel") or "")[:300],
        tuple(risks(host)),
        _silent_profile(host, profile),
        0.0 if state.get("Running") is True else time.time(),
        pid=pid if isinstance(pid, int) and pid > 0 else 0,
    )


def _silent_profile(host: Mapping[str, Any], profile: str) -> str:
    """Return the confinement if it logs no denials: ``unconfined`` or ``docker-default``; else empty."""
    if host.get("Privileged") or profile == "unconfined":
        return "unconfined"
    return "docker-default" if profile == "docker-default" else ""


def _object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


_ENDS = {
    "137": ("ended with exit code 137, as by SIGKILL", LOW),
    "139": ("ended with exit code 139, as by a segmentation fault", MEDIUM),
    "159": ("ended with exit code 159, as by a forbidden system call", HIGH),
}
_NAMESPACES = {
    "PidMode": "process",
    "NetworkMode": "network",
    "IpcMode": "IPC",
    "UTSMode": "UTS",
    "UsernsMode": "user",
}
_STRONG = frozenset(
    {"ALL", "BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"}
)
_OPEN = ("apparmor=unconfined", "apparmor:unconfined", "seccomp=unconfined", "seccomp:unconfined")


class EngineEvent(NamedTuple):
    """A remarkable event of a container, as the engine reported it."""

    at: float  # seconds of the epoch
    kind: str
    severity: str
    target: str
    container: Container


def reported_events(event: Mapping[str, Any], container: Container) -> Iterator[EngineEvent]:
    """Yield the reported events that follow from an engine event of type container."""
    nanoseconds = event.get("timeNano")
    at = nanoseconds / 1e9 if isinstance(nanoseconds, int) else 0.0
    action, _separator, rest = str(event.get("Action", "")).partition(":")
    actor = event.get("Actor")
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    attributes = attributes if isinstance(attributes, dict) else {}
    if action == "exec_create":
        yield EngineEvent(at, "command run inside", LOW, _program(rest), container)
    elif action == "oom":
        yield EngineEvent(at, "out of memory", MEDIUM, "", container)
    elif action == "die" and str(attributes.get("exitCode")) in _ENDS:
        kind, severity = _ENDS[str(attributes["exitCode"])]
        yield EngineEvent(at, kind, severity, "", container)
    elif action == "start":
        for risk in container.risks:
            yield EngineEvent(at, f"started {risk}", HIGH, "", container)


def risks(host_config: Mapping[str, Any]) -> list[str]:
    """Return the settings that give a container access to the host, as phrases that follow ``started``."""
    found = ["privileged"] if host_config.get("Privileged") is True else []
    found += [
        f"in the host's {name} namespace"
        for key, name in _NAMESPACES.items()
        if host_config.get(key) == "host"
    ]
    added = host_config.get("CapAdd")
    names = {str(each).upper().replace("CAP_", "", 1) for each in added} if isinstance(added, list) else set()
    found += [f"with {name}" for name in sorted(names & _STRONG)]
    options = host_config.get("SecurityOpt")
    words = {str(each) for each in options} if isinstance(options, list) else set()
    found += [f"with {word.replace(':', '=')}" for word in _OPEN if word in words]
    return found


def _program(command: str) -> str:
    """Return the program of a command line without its arguments, which may hold a password."""
    words = command.split(None, 1)
    return shown(posixpath.basename(words[0]), SHORT) if words else ""
