"""Which sources there are, what each needs, and how long it may take."""

from __future__ import annotations

from host_snapshot import (
    accounts,
    audit,
    containerproc,
    daemonconfig,
    docker,
    engine,
    enginestate,
    environment,
    firewall,
    kernel,
    mounts,
    packages,
    paths,
    processes,
    sockets,
    system,
    units,
)
from host_snapshot.bounds import Absent, Failed
from host_snapshot.context import Once
from host_snapshot.filestat import Files

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

    from host_snapshot.redact import Redactor

    Source = tuple[str, Callable[[], Any], float]

_SOON = 10  # seconds
_LATER = 45  # for what waits for the engine
_BUSY = {"dockerd", "containerd", "containerd-shim"}


class Facts:
    """Facts that several sources stand on, each found out once."""

    def __init__(self, arguments: dict[str, Any], redactor: Redactor) -> None:
        self.redactor = redactor
        self.files = Files()
        self.running = Once(processes.scan)
        self.units = Once(units.read)
        self.mounts = Once(mounts.read)
        socket = arguments.get("socket")
        self.engine = Once(lambda: engine.find(self.running, self.units, socket), _SOON)
        self.info = Once(lambda: docker.info(self.engine.get(), redactor), docker.LIMIT)
        self.containers = Once(self._containers, docker.LIMIT)
        self.volumes = Once(lambda: docker.volumes(self.engine.get(), redactor), docker.LIMIT)
        self.listening = Once(lambda: sockets.host_listening(self.running.get(), daemons=_BUSY))

    def _containers(self) -> docker.Containers:
        host = containerproc.Host(self.mounts.get())
        return docker.Containers(self.engine.get(), self.redactor, host)

    # --- the sources that are made of several ---------------------------------------------------------------

    def engine_state(self) -> dict[str, Any]:
        """The source `engine`."""
        return enginestate.describe(
            self.engine.get(),
            info=_or(self.info, {}),
            running=self.running.get(),
            units=_or(self.units, {}),
            listening=_or(self.listening, []),
        )

    def daemon_config(self) -> dict[str, Any]:
        """The source `daemon.config`."""
        found = self.engine.get()
        if not found.installed:
            raise Absent("no Docker engine is installed")
        return daemonconfig.declared(
            found.config,
            argv=found.argv,
            argv_from=found.argv_from,
            flags=found.flags,
            unknown=found.unknown,
            environment=found.environment,
            redactor=self.redactor,
        )

    def version(self) -> dict[str, Any]:
        """The source `docker.version`."""
        found = self.engine.get()
        found.connect(1).close()  # says why where there is none
        return dict(found.version)

    def file_records(self) -> dict[str, Any]:
        """The source `files`: what the host has, then what containers mount, which may hang on a dead server."""
        found, info = self.engine.get(), _or(self.info, {})
        paths.look(
            self.files,
            found,
            units=_or(self.units, {}),
            root=str(info.get("DockerRootDir") or ""),
            containerd_socket=enginestate.containerd_socket(found, info),
        )
        mounted = list(_or_nothing(self.containers, lambda known: known.bind_sources))
        mounted += _or_nothing(self.volumes, docker.bind_devices)
        for path in mounted:
            self.files.add(path)
        return self.files.records

    def groups(self) -> dict[str, Any]:
        """The source `groups`."""
        found = self.engine.get()
        record = self.files.add(found.socket) if found.socket else None
        owner = record.get("gid") if record else None
        return accounts.groups(["docker", *([owner] if owner is not None else [])])

    def users(self) -> dict[str, Any]:
        """The source `users`."""
        return accounts.users(str(self.engine.get().setting("userns-remap") or ""))

    def listening_everywhere(self) -> list[dict[str, Any]]:
        """The source `listening`."""
        host = [{**entry, "netns": "host"} for entry in self.listening.get()]
        inside = _or_nothing(self.containers, lambda known: known.listening)
        return [{key: value for key, value in entry.items() if key != "pid"} for entry in (*host, *inside)]


def plan(arguments: dict[str, Any], redactor: Redactor) -> list[Source]:
    """Every source: name, how to read it, limit in seconds. Slow starters come first."""
    facts = Facts(arguments, redactor)

    def ask(function: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: function(facts.engine.get(), redactor)

    return [
        ("units", lambda: units.redacted(facts.units.get(), redactor), _SOON),
        ("docker.containers", lambda: facts.containers.get().text, _LATER),
        ("packages", packages.read, packages.LIMIT + 5),
        ("firewall", firewall.read, _SOON),
        ("audit.loaded", audit.loaded, _SOON),
        ("docker.images", ask(docker.images), _LATER),
        ("docker.info", facts.info.get, _LATER),
        ("docker.networks", ask(docker.networks), _LATER),
        ("docker.volumes", facts.volumes.get, _LATER),
        ("docker.plugins", lambda: docker.plugins(facts.engine.get()), _LATER),
        ("docker.version", facts.version, _SOON),
        ("docker.swarm", lambda: docker.swarm(facts.engine.get(), facts.info.get(), redactor), _LATER),
        ("system", system.read, _SOON),
        ("engine", facts.engine_state, _LATER),
        ("daemon.config", facts.daemon_config, _SOON),
        ("files", facts.file_records, _LATER),
        ("environment", lambda: environment.read(redactor), _SOON),
        ("audit.persistent", audit.persistent, _SOON),
        ("mounts", facts.mounts.get, _SOON),
        ("sysctl", kernel.sysctl, _SOON),
        ("modules", kernel.modules, _SOON),
        ("lsm", kernel.lsm, _SOON),
        ("groups", facts.groups, _SOON),
        ("users", facts.users, _SOON),
        ("listening", facts.listening_everywhere, _LATER),
    ]


def _or(fact: Once, default: Any) -> Any:
    """A fact, or ``default`` where it cannot be had: its own source says why."""
    try:
        return fact.get()
    except (Absent, Failed):
        return default


def _or_nothing(fact: Once, take: Callable[[Any], list[Any]]) -> list[Any]:
    try:
        return take(fact.get())
    except (Absent, Failed):
        return []
