"""Read every container: the engine's data, and the state in /proc."""

from __future__ import annotations

import os
from functools import partial

from ..docker import seccomp_rules
from ..docker.http import NotFound, parse
from ..host.errors import Failed, describe
from . import containerproc, docker, filestat, seccomp, unixsockets
from .docker import Entries, redact_config
from .filestat import Files, record_key
from .scheduler import Source

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.http import NoAnswer
    from ..host.once import Once
    from ..host.redact import Redactor
    from .scheduler import Encoded

_MAX_TEXT = 36 * 1024 * 1024  # characters of all containers together
_MAX_MARKS = 1_200_000
_MAX_NAME = 300
_MAX_WORDS = 1000
LIMIT = docker.LIMIT + 10  # seconds
MOUNTS_LIMIT = 20  # seconds; a bind mount may lead to an unreachable file server


class Containers:
    """The source `docker.containers`; it also collects entries of the sources `files` and `listening`."""

    def __init__(self, engine: Once, mounts: Once, redactor: Redactor) -> None:
        self._engine = engine
        self._mounts = mounts
        self._redactor = redactor
        self._bind_sources: set[str] = set()
        self._folders: set[str] = set()  # of volumes
        self._devices: set[str] = set()
        self._files = Files()
        self.listening: list[dict[str, Any]] = []

    def entry(self) -> str:
        """Return the source's entry in the snapshot, as JSON."""
        return Source(self._read, LIMIT).entry()

    def mounted_files(self) -> dict[str, Any]:
        """Return records of mounted files, for the source `files`."""
        Source(self._look, MOUNTS_LIMIT).entry()
        unanswered = {record_key(path): {"error": "it did not answer in time"} for path in self._bind_sources}
        return {**unanswered, **self._files.records}

    def _look(self) -> None:
        for path in self._bind_sources:
            self._files.add(path)
        for path in self._devices:
            for node in filestat.block_nodes(path):
                self._files.add(node)
        for path in self._folders:
            if os.path.realpath(path) != path:
                self._files.add(path)
        try:
            listening = unixsockets.listening().values()
        except OSError:
            return
        folders = {*self._bind_sources, *self._folders}
        if any(socket.file and not socket.path() for socket in listening):
            # The folder of a volume shows its device only while a container runs.
            try:
                folders.update(docker.volume_paths(docker.volumes(self._engine.get(), self._redactor)))
            except (OSError, Failed):
                pass  # the source docker.volumes says so
        for path in unixsockets.renamed(sorted(folders), listening):
            self._files.add(path)

    def _read(self) -> Encoded:
        engine = self._engine.get()
        host = containerproc.Host(self._mounts.get())
        self._bundles = seccomp.Bundles(engine)
        entries = Entries(_MAX_TEXT, _MAX_MARKS)
        listed = docker.listing(engine, "/containers/json?all=1")
        bodies = docker.bodies(engine, [f"{engine.api}/containers/{identity}/json" for identity in listed])
        for told, body in zip(listed.values(), bodies):
            if not isinstance(body, NotFound):  # removed since it was listed
                entry = self._entry(told, body, host)
                entries.add(entry, partial(_unread, told))
        return entries.encoded()

    def _entry(
        self, told: dict[str, Any], body: bytes | NoAnswer, host: containerproc.Host
    ) -> dict[str, Any]:
        """Return the entry of a container; an unreadable one gets a reason, and the others are read.

        Raises:
            NoEngine: it is not the container's fault.
        """
        try:
            raw = docker.success(body)
            return self._one(told["Id"], raw, docker.complete("/containers/{id}/json", parse(raw)), host)
        except docker.NoEngine:
            raise
        except Exception as error:  # any error that a container may cause
            return _unread(told, describe(error))

    def _one(
        self, identity: str, raw: bytes, inspect: dict[str, Any], host: containerproc.Host
    ) -> dict[str, Any]:
        mounts = inspect.get("Mounts") or ()
        for mount in mounts:
            source = str(mount.get("Source") or "")
            if mount.get("Type") == "bind" and source:
                self._bind_sources.add(source)
            elif source.startswith("/"):
                self._folders.add(source)
        for device in (inspect.get("HostConfig") or {}).get("Devices") or ():
            path = str(device.get("PathOnHost") or "")
            self._bind_sources.add(path or "/dev")
            self._devices |= {path} if path.startswith("/") else set()
        destinations = tuple(str(mount.get("Destination") or "/") for mount in mounts)
        state = inspect.get("State") or {}
        pid = state.get("Pid")
        proc = None
        if isinstance(pid, int) and pid > 0:
            proc = containerproc.read(pid, identity, host, destinations)
        if proc and "net" not in proc["host_namespaces"]:
            self.listening += [{**entry, "netns": identity} for entry in proc["listening"]]
        name = str(inspect.get("Name") or identity).lstrip("/")
        profile = self._seccomp(inspect, identity, running=proc is not None)
        words = words_of(inspect.get("Config") or {}, self._redactor)
        redacted = redact_container(inspect, raw, self._redactor, f"container {name}")
        return {
            "inspect": redacted,
            "proc": proc,
            **({"seccomp": profile} if profile else {}),
            **({"words": words} if words else {}),
        }

    def _seccomp(self, inspect: dict[str, Any], identity: str, *, running: bool) -> dict[str, Any] | None:
        """Return the calls that the profile of a container allows (the effective profile if it runs)."""
        if running:
            return self._bundles.effective(identity)
        options = (inspect.get("HostConfig") or {}).get("SecurityOpt") or ()
        profiles = [option for option in map(str, options) if option.startswith("seccomp=")]
        return seccomp_rules.declared(profiles[-1].partition("=")[2]) if profiles else None


def _unread(listed: dict[str, Any], reason: str) -> dict[str, Any]:
    """Return the entry of an unreadable container: the list's data, and the reason."""
    names = listed.get("Names")
    name = names[0] if isinstance(names, list) and names else ""
    image = listed.get("ImageID")
    inspect = {
        "Id": listed["Id"],
        "Name": name[:_MAX_NAME] if isinstance(name, str) else "",
        "Image": image[:_MAX_NAME] if isinstance(image, str) else "",
    }
    return {"inspect": inspect, "proc": None, "error": reason}


def words_of(config: dict[str, Any], redactor: Redactor) -> dict[str, list[str]]:
    """Return digests of the words of a container's command, as in recordings; none without the host's key.

    The entrypoint's first word is the program, and no secret.
    """
    if redactor.key_source != "host":
        return {}
    found = {}
    for name, key, first in (("entrypoint", "Entrypoint", 1), ("command", "Cmd", 0)):
        value = config.get(key) or ()
        words = [value] if isinstance(value, str) else [str(word) for word in value]
        found[name] = [redactor.digest(word) for word in words[first:_MAX_WORDS]]
    return found


def redact_container(inspect: dict[str, Any], raw: bytes, redactor: Redactor, where: str) -> dict[str, Any]:
    """Redact ``/containers/ID/json``."""
    host_config = inspect.get("HostConfig") or {}
    log_config = host_config.get("LogConfig") or {}
    if log_config.get("Config"):
        log_config["Config"] = redactor.options(log_config["Config"], f"{where} log option")
    if host_config.get("Mounts"):
        host_config["Mounts"] = redactor.options(host_config["Mounts"], f"{where} mount")
    program = str(inspect.get("Path") or "")
    inspect["Path"] = redactor.text(program, where)
    inspect["Args"] = redactor.words(inspect.get("Args"), f"{where} command", [program])
    health = (inspect.get("State") or {}).get("Health") or {}
    if health.get("Log"):
        health["Log"] = []  # output of programs: not needed, and may contain secrets
    redact_config(inspect.get("Config") or {}, redactor, where)
    found: dict[str, Any] = redactor.forms(inspect, raw, where)
    return found
