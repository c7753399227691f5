"""Find the Docker engine: its process, its real command line, its socket."""

from __future__ import annotations

import os
import pwd
import time

from ..host import processes, units
from ..host.errors import Absent, Failed, describe
from ..host.read import read_or
from ..host.run import PATH as SYSTEM_PATH
from ..host.run import find_program
from ..host.text import one_line
from . import config, keys
from .api import DEFAULT_SOCKET, Connection
from .http import FOREVER

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.once import Once

BINARIES = (
    "dockerd",
    "docker",
    "docker-proxy",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v1",
    "containerd-shim-runc-v2",
    "runc",
)
_PIDFILES = ("/run/docker.pid", "/run/snap.docker/docker.pid")
_SYSTEM_CONTAINERD = "/run/containerd/containerd.sock"
_MORE_PATH = "/snap/docker/current/bin:/opt/docker"
# Answers of newer API versions may have another shape. Older engines get the version that they support.
_NEWEST_API = (1, 51)
_PODMAN = (
    "Podman Engine answers on Docker's socket, and hardener judges and hardens Docker's engine only:"
    " name Docker's own socket, or leave this host out"
)
_OUTSIDE = "the engine runs outside of this container or virtual machine: audit its own host by ssh"
_FIRST_ANSWER = 20  # seconds; an engine that has not answered by then is not queried further


class Engine:
    """The data about the engine that are known without a query, and its version."""

    def __init__(self) -> None:
        self.binaries: dict[str, str | None] = {}
        self.pid: int | None = None
        self.peer: int | None = None
        self.argv: list[str] = []
        self.argv_from: str | None = None
        self.flags: dict[str, list[str]] = {}
        self.unknown: list[str] = []
        self.environment: dict[str, str] = {}
        self.euid: int | None = None
        self.home = "/root"
        self.rootless = False
        self.config: dict[str, Any] = {}
        self.socket: str | None = None
        self.socket_from: str | None = None
        self.api = ""  # prefix of paths: "/v1.45"; empty if it does not answer
        self.version: Any = None  # its answer to `/version`, if it was asked for the API's versions
        self.error: str | None = None
        self.foreign = ""  # why what answers on Docker's socket is not this host's engine; empty if it is

    @property
    def installed(self) -> bool:
        """Return whether an engine is installed."""
        return bool(self.binaries.get("dockerd") or self.pid or self.api or self.foreign)

    def connect(self, seconds: float, *, idle: float = FOREVER) -> Connection:
        """Return a new connection to the engine's API.

        Args:
            seconds: until all of it must have ended.
            idle: seconds that the engine may be silent.

        Raises:
            Absent: no engine is installed.
            Failed: it does not answer.
        """
        if not self.installed:
            raise Absent("no Docker engine is installed")
        if not self.api or self.socket is None:
            raise Failed(self.error or "the engine does not answer")
        return Connection(self.socket, time.monotonic() + seconds, idle=idle)

    def declared(self, key: str) -> Any:
        """Return the declared value of a key, from flags or daemon.json; None if it is not declared."""
        return keys.value_of(key, self.config.get("parsed") or {}, self.flags)


def find(running: Once, known_units: Once, socket: str | None = None) -> Engine:
    """Find the engine and query its version.

    Args:
        running: process id to name, of all processes.
        known_units: systemd's units; read only if the answer depends on them, because that takes time.
        socket: the API socket, if it was configured.
    """
    engine = Engine()
    daemons = [pid for pid, name in running.get().items() if name == "dockerd" and _runs_on_host(pid)]
    engine.pid = _choose(daemons, known_units)
    _learn(engine, known_units)
    candidates = [(socket, "argument")] if socket else _sockets(engine, known_units)
    if not daemons and not socket and _would_start(known_units):
        engine.error = "the daemon does not run"
        engine.socket, engine.socket_from = candidates[0] if candidates else (None, None)
        return engine
    for path, origin in candidates:
        engine.socket, engine.socket_from = path, origin
        try:
            _ping(engine, path)
        except (OSError, Failed) as error:
            engine.error = f"{path}: {describe(error)}"
            continue
        engine.foreign = ""
        if engine.peer != engine.pid and (engine.peer in daemons or _is_renamed(engine.peer)):
            engine.pid = engine.peer
            _learn(engine, known_units)
        break
    return engine


def containerd_socket(engine: Engine, info: dict[str, Any]) -> str:
    """Return the socket of the engine's containerd: as the engine reports it, as declared, or the default."""
    known = (info.get("Containerd") or {}).get("Address") or engine.declared("containerd")
    if known:
        return str(known)
    root = engine.declared("exec-root")
    if root is None and engine.rootless:
        root = f"{engine.environment.get('XDG_RUNTIME_DIR') or f'/run/user/{engine.euid}'}/docker"
    own = f"{root or '/run/docker'}/containerd/containerd.sock"
    return own if os.path.exists(own) else _SYSTEM_CONTAINERD


def verifies_clients(pid: int) -> bool:
    """Return whether an engine is configured to accept only clients with a certificate of its own CA.

    Args:
        pid: its process; it need not be the engine that was found.

    Raises:
        OSError: it ended meanwhile.
    """
    given, _unknown = config.parse_flags(processes.argv(pid)[1:])
    environment, rootless = processes.environment(pid), processes.effective_uid(pid) != 0
    home = environment.get("HOME") or "/root"
    file = config.read(config.path_of(given, environment, home, rootless=rootless, pid=pid))["parsed"] or {}
    verify, tls, authority = (keys.value_of(key, file, given) for key in ("tlsverify", "tls", "tlscacert"))
    return (verify is True or (verify is None and tls is True)) and bool(authority)


def _runs_on_host(pid: int) -> bool:
    """Return whether a process runs on the host, not in a container (Docker in Docker)."""
    try:
        return processes.in_own_pid_namespace(pid)
    except OSError:
        return False


def _is_renamed(pid: int | None) -> bool:
    """Return whether the process that answered is an engine by another name, such as ``.dockerd-wrapped``.

    Who listens may also be systemd, or a program that forwards.
    """
    program = processes.executable(pid) if pid and pid > 1 and _runs_on_host(pid) else None
    name = os.path.basename(program or "")
    return "dockerd" in name or name.startswith("docker-") or name.endswith("engine-daemon")


def _choose(daemons: list[int], known_units: Once) -> int | None:
    """Choose the host's own daemon if several run."""
    if len(daemons) <= 1:
        return daemons[0] if daemons else None
    for path in _PIDFILES:
        pid = read_or(path, "")
        if pid.isdigit() and int(pid) in daemons:
            return int(pid)
    main_pid = _unit(known_units, "docker.service").get("MainPID")
    if main_pid in daemons:
        return int(main_pid)
    return min(daemons, key=lambda pid: (_uid(pid) != 0, pid))


def _uid(pid: int) -> int:
    try:
        return processes.effective_uid(pid)
    except OSError:
        return -1


def _unit(known_units: Once, name: str) -> dict[str, Any]:
    try:
        unit: dict[str, Any] = known_units.get().get(name) or {}
    except (Absent, Failed):
        return {}
    return unit if unit.get("LoadState") == "loaded" else {}


def _learn(engine: Engine, known_units: Once) -> None:
    """Read the daemon's command line, environment, owner and configuration; if it is down, from its unit."""
    folders = SYSTEM_PATH
    if engine.pid is not None:
        engine.argv, engine.argv_from = processes.argv(engine.pid), "process"
        engine.euid = processes.effective_uid(engine.pid)
        program = processes.executable(engine.pid)
        if program:
            folders = f"{os.path.dirname(program)}:{SYSTEM_PATH}"
        try:
            engine.environment = processes.environment(engine.pid)
        except OSError:
            engine.environment = {}
    else:
        service = _unit(known_units, "docker.service") or _unit(known_units, "snap.docker.dockerd.service")
        if service:
            engine.argv, engine.argv_from = units.command_line(service), "unit"
    engine.flags, engine.unknown = config.parse_flags(engine.argv[1:])
    for name in BINARIES:
        path = find_program(name, f"{folders}:{_MORE_PATH}")
        engine.binaries[name] = os.path.realpath(path) if path else None
    if engine.pid is not None:
        engine.binaries["dockerd"] = processes.executable(engine.pid) or engine.binaries["dockerd"]
    engine.home = engine.environment.get("HOME") or _home(engine.euid or 0)
    engine.rootless = bool(engine.euid) or keys.value_of("rootless", {}, engine.flags) is True
    path = config.path_of(
        engine.flags, engine.environment, engine.home, rootless=engine.rootless, pid=engine.pid
    )
    engine.config = config.read(path)
    if engine.pid is not None and engine.flags.get("config-file") and not engine.config["exists"]:
        engine.config["error"] = "the daemon was started with this file, which no longer exists"


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def _sockets(engine: Engine, known_units: Once) -> list[tuple[str, str]]:
    """Return the daemon's unix sockets and their origin: flags, config, unit or default."""
    declared, origin = engine.flags.get("host"), "flags"
    if not declared:
        hosts = (engine.config.get("parsed") or {}).get("hosts")
        declared, origin = [str(host) for host in hosts] if isinstance(hosts, list) else [], "config"
    found = []
    for host in map(str.strip, declared):
        if host.startswith("fd://"):
            found += [(path, "unit") for path in _unit_sockets(known_units)]
        elif host.startswith("unix://"):
            found.append((host[len("unix://") :].strip() or DEFAULT_SOCKET, origin))
    if found or declared:
        return found
    found = [(path, "unit") for path in _unit_sockets(known_units)] if engine.pid is None else []
    if engine.rootless:
        folder = engine.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{engine.euid}"
        return [*found, (f"{folder}/docker.sock", "default")]
    found.append((DEFAULT_SOCKET, "default"))
    if engine.pid is None and not os.path.exists(DEFAULT_SOCKET):
        found += [(path, "default") for path in _user_sockets()]
    return found


def _user_sockets() -> list[str]:
    """Return sockets of rootless engines whose processes are not visible."""
    try:
        paths = [f"/run/user/{name}/docker.sock" for name in sorted(os.listdir("/run/user"))]
    except OSError:
        return []
    return [path for path in paths if os.path.exists(path)]


def _unit_sockets(known_units: Once) -> list[str]:
    try:
        listen = units.listens(known_units.get())
    except (Absent, Failed):
        return []
    return [entry for entry in listen if entry.startswith("/")]


def _would_start(known_units: Once) -> bool:
    """Return whether a connection would start the daemon, which reading must not do."""
    return _unit(known_units, "docker.socket").get("ActiveState") == "active"


def _ping(engine: Engine, path: str) -> None:
    """Ping the engine and negotiate the API version.

    Raises:
        OSError, Failed: there is no answer, or not that of an engine.
    """
    connection = Connection(path, time.monotonic() + _FIRST_ANSWER)
    version = None
    try:
        engine.peer = connection.peer()[0]
        connection.get_bytes("/_ping", limit=65536)
        if connection.server.startswith("Libpod/"):
            engine.foreign = f"{path}: {_PODMAN} ({one_line(connection.server)})"
            raise Failed(_PODMAN)
        if engine.peer == 0:  # who listens is in none of the pid namespaces that are visible here
            engine.foreign = f"{path}: {_OUTSIDE}"
            raise Failed(_OUTSIDE)
        newest = agreed = _number(connection.api_version)
        if newest > _NEWEST_API:  # it may have dropped this version
            version = connection.get("/version", limit=1024 * 1024)
            agreed = max(_NEWEST_API, _number(version["MinAPIVersion"]))
    except (KeyError, TypeError):
        raise Failed("the program that answers on its socket is not a Docker engine") from None
    finally:
        connection.close()
    engine.api, engine.version, engine.error = f"/v{agreed[0]}.{agreed[1]}", version, None


def _number(text: Any) -> tuple[int, int]:
    major, _separator, minor = str(text).partition(".")
    if not (len(str(text)) < 12 and str(text).isascii() and major.isdigit() and minor.isdigit()):
        raise Failed("the program that answers on its socket is not a Docker engine")
    return int(major), int(minor)
