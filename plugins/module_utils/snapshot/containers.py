"""Every container: what the engine says of it, and what /proc says."""

from __future__ import annotations

from ..host.errors import Failed
from . import containerproc, docker, seccomp
from .filestat import Files, record_key
from .reading import Encoded, Source, encode
from .runconfig import redact_config

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.once import Once
    from ..host.redact import Redactor

_MOUNTS_LIMIT = 10  # seconds: a bind mount may lead to a file server that is gone


class Containers:
    """The source `docker.containers`, and what it adds to others."""

    def __init__(self, engine: Once, mounts: Once, redactor: Redactor) -> None:
        self._engine = engine
        self._mounts = mounts
        self._redactor = redactor
        self._bind_sources: set[str] = set()
        self._files = Files()
        self.listening: list[dict[str, Any]] = []

    def entry(self) -> str:
        """The source's entry in the snapshot, as JSON."""
        return Source(self._read, docker.LIMIT + 10).entry()

    def mounted_files(self) -> dict[str, Any]:
        """Records of what containers mount, for the source `files`."""
        Source(lambda: [self._files.add(path) for path in self._bind_sources], _MOUNTS_LIMIT).entry()
        unanswered = {record_key(path): {"error": "it did not answer in time"} for path in self._bind_sources}
        return {**unanswered, **self._files.records}

    def _read(self) -> Encoded:
        engine = self._engine.get()
        host = containerproc.Host(self._mounts.get())
        self._bundles = seccomp.Bundles(engine)
        texts, size = [], 0
        for identity, raw, inspect in docker.each(engine, "/containers/json?all=1", "/containers/{id}/json"):
            text = encode(self._one(identity, raw, inspect, host))
            size += len(text)
            if size > docker.MAX_TEXT:
                raise Failed(f"the containers' facts are larger than {docker.MAX_TEXT} bytes")
            texts.append(text)
        return Encoded("[" + ",".join(texts) + "]")

    def _one(
        self, identity: str, raw: bytes, inspect: dict[str, Any], host: containerproc.Host
    ) -> dict[str, Any]:
        mounts = inspect.get("Mounts") or ()
        for mount in mounts:
            if mount.get("Type") == "bind" and mount.get("Source"):
                self._bind_sources.add(str(mount["Source"]))
        for device in (inspect.get("HostConfig") or {}).get("Devices") or ():
            self._bind_sources.add(str(device.get("PathOnHost") or "/dev"))
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
        redacted = redact_container(inspect, raw, self._redactor, f"container {name}")
        return {"inspect": redacted, "proc": proc, **({"seccomp": profile} if profile else {})}

    def _seccomp(self, inspect: dict[str, Any], identity: str, *, running: bool) -> dict[str, Any] | None:
        """What its seccomp profile leaves open: the one in force, else the one that it declares."""
        if running:
            return self._bundles.effective(identity)
        options = (inspect.get("HostConfig") or {}).get("SecurityOpt") or ()
        profiles = [option for option in map(str, options) if option.startswith("seccomp=")]
        return seccomp.declared(profiles[-1].partition("=")[2]) if profiles else None


def redact_container(inspect: dict[str, Any], raw: bytes, redactor: Redactor, where: str) -> dict[str, Any]:
    """``/containers/ID/json`` without its secrets."""
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
        health["Log"] = []  # output of programs: no fact for us, and anything may be in it
    redact_config(inspect.get("Config") or {}, redactor, where)
    found: dict[str, Any] = redactor.forms(inspect, raw, where)
    return found
