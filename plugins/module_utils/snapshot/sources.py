"""Define the sources that share facts, such as the engine: dependencies and time limits."""

from __future__ import annotations

from ..docker import engine
from ..host.once import Once
from ..subjects.host import COMMANDS
from . import accounts, daemonconfig, docker, enginestate, filestat, images, paths, seccomp, sockets, swarm
from .scheduler import LATER, SOON

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor
    from .scheduler import Plan


class EngineSources:
    """The sources, and the facts that several of them share.

    Args:
        found: the engine.
        running: process id to name.
        known_units: systemd's units.
        redactor: replaces secrets.
    """

    def __init__(self, found: Once, running: Once, known_units: Once, redactor: Redactor) -> None:
        self._engine = found
        self._running = running
        self._units = known_units
        self._redactor = redactor
        self._files = filestat.Files()
        self._looked_at: dict[str, Any] = {}
        self._info = Once(lambda: docker.info(self._engine.get(), redactor), docker.LIMIT)
        self._volumes = Once(lambda: docker.volumes(self._engine.get(), redactor), docker.LIMIT)
        self._holders = sockets.Holders()
        self._listening = Once(lambda: sockets.host_listening(self._running.get(), self._holders))

    def plan(self) -> Plan:
        """Return every source with its function and time limit in seconds; slow sources come first."""
        redactor, engine = self._redactor, self._engine
        return [
            ("docker.images", lambda: images.read(engine.get(), redactor), LATER),
            ("docker.info", self._info.get, LATER),
            ("docker.networks", lambda: docker.networks(engine.get(), redactor), LATER),
            ("docker.volumes", self._volumes.get, LATER),
            ("docker.plugins", lambda: docker.plugins(engine.get(), self._info), LATER),
            ("docker.version", self._version, SOON),
            ("docker.swarm", lambda: swarm.read(engine.get(), self._info.get(), redactor), LATER),
            ("engine", self._engine_state, LATER),
            ("daemon.config", self._daemon_config, SOON),
            ("units", lambda: redacted_units(self._units.get(), redactor), SOON),
            ("files", self._file_records, LATER),
            ("listening", self._host_listening, LATER),
            ("environment", lambda: accounts.content_trust(redactor), SOON),
            ("groups", self._groups, SOON),
            ("users", self._users, SOON),
        ]

    def paths(self) -> list[str]:
        """Return the recorded files."""
        return list(self._looked_at)

    def _version(self) -> dict[str, Any]:
        found = self._engine.get()
        answer = found.version
        if answer is None:
            connection = found.connect(SOON)
            try:
                answer = connection.get("/version")
            finally:
                connection.close()
        version: dict[str, Any] = docker.complete("/version", answer)
        return version

    def _daemon_config(self) -> dict[str, Any]:
        found = self._engine.get()
        declared = daemonconfig.declared(found, self._redactor)
        profile = seccomp.of_file(str(found.declared("seccomp-profile") or ""))
        return {
            **declared,
            "authorities": daemonconfig.authorities(paths.ca_files(found)),
            **({"seccomp": profile} if profile else {}),
        }

    def _engine_state(self) -> dict[str, Any]:
        return enginestate.describe(
            self._engine.get(),
            info=self._info.get_or({}),
            running=self._running.get(),
            units=self._units.get_or({}),
            listening=self._listening.get_or([]),
            holders=self._holders,
        )

    def _file_records(self) -> dict[str, Any]:
        found, info = self._engine.get(), self._info.get_or({})
        paths.look(
            self._files,
            found,
            units=self._units.get_or({}),
            root=str(info.get("DockerRootDir") or ""),
            containerd_socket=engine.containerd_socket(found, info),
            devices=docker.volume_paths(self._volumes.get_or([])),
        )
        self._looked_at = dict(self._files.records)  # other threads continue to add files
        return self._looked_at

    def _groups(self) -> dict[str, Any]:
        found = self._engine.get()
        owners = []
        for path in paths.api_sockets(found, self._units.get_or({})):
            record = self._files.add(path)
            owners += [record["gid"]] if record and record.get("gid") is not None else []
        return accounts.groups(["docker", *dict.fromkeys(owners)])

    def _users(self) -> dict[str, Any]:
        return accounts.users(str(self._engine.get().declared("userns-remap") or ""))

    def _host_listening(self) -> list[dict[str, Any]]:
        entries = ({**entry, "netns": "host"} for entry in self._listening.get())
        return [{key: value for key, value in entry.items() if key != "pid"} for entry in entries]


def redacted_units(units: dict[str, dict[str, Any]], redactor: Redactor) -> dict[str, dict[str, Any]]:
    """Return the source `units`: command lines without secrets, and no values of variables."""
    return {
        name: {
            **{key: value for key, value in unit.items() if key != "Variables"},
            **{key: [redactor.words(argv, f"unit {name}") for argv in unit[key]] for key in COMMANDS},
        }
        for name, unit in units.items()
    }
