"""Read the daemon's declared settings: command line over daemon.json over the engine's defaults.

If the engine itself reports a value, that effective one decides; ``Settings.drift`` describes a difference.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import (
    DEFAULT_PATH,
    FILE,
    changed_since,
    default_of,
)

from hardener.snapshot import FactAbsent, FactUnavailable, Snapshot


@dataclass(frozen=True, slots=True)
class Declared:
    """A value and its origin: a flag (``--icc``), the file's path, or ``default``."""

    value: Any
    origin: str

    def __str__(self) -> str:
        shown = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"{shown} ({self.origin})"


class Settings:
    """The daemon's declared configuration on one host."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._config = snapshot.daemon_config
        self._declared: Mapping[str, Any] = self._config.get("declared") or {}

    @property
    def path(self) -> str:
        """Return the path of the daemon's configuration file."""
        return str(self._config.get("path") or DEFAULT_PATH)

    def get(self, key: str) -> Declared:
        """Return the declared value of a key of daemon.json, from the file or the command line.

        Raises:
            FactUnavailable: the command line does not say it, and there is a file that cannot be parsed.
        """
        match self._declared.get(key):
            case {"value": None}:  # `null` in the file: the engine takes its default
                return Declared(default_of(key), "default")
            case {"value": value, "origin": str(origin)}:
                return Declared(value, self.path if origin == FILE else origin)
            case None:
                self._require_file()
                return Declared(default_of(key), "default")
        raise FactUnavailable("daemon.config", f"the declared {key} has no value or no origin")

    def _require_file(self) -> None:
        error = self._config.get("error")
        if error:
            raise FactUnavailable("daemon.config", f"{self.path}: {error}")

    def boolean(self, key: str) -> Declared:
        """Return a boolean setting.

        Raises:
            FactUnavailable: the value is neither true nor false; the engine would refuse it.
        """
        declared = self.get(key)
        if not isinstance(declared.value, bool):
            raise FactUnavailable("daemon.config", f"{key} is neither true nor false in {declared.origin}")
        return declared

    def text(self, key: str) -> Declared:
        """Return a text setting; ``""`` if it is not set."""
        declared = self.get(key)
        if not isinstance(declared.value, str | None):
            raise FactUnavailable("daemon.config", f"{key} is not a string in {declared.origin}")
        return Declared(declared.value or "", declared.origin)

    def entries(self, key: str) -> Declared:
        """Return a list setting; an object becomes ``name=value`` as in its flag."""
        declared = self.get(key)
        value = declared.value
        if isinstance(value, Mapping):
            value = [f"{name}={part}" for name, part in value.items()]
        if not isinstance(value, list | None):
            raise FactUnavailable("daemon.config", f"{key} is not a list in {declared.origin}")
        return Declared(tuple(str(part) for part in value or ()), declared.origin)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Return the keys that are set in the file and by a flag: the daemon refuses to start with them."""
        self._require_file()
        return tuple(str(key) for key in self._config.get("conflicts") or ())

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Return the keys that the file contains more than once; the last value applies."""
        return tuple(str(key) for key in self._config.get("duplicate_keys") or ())

    @property
    def changed_since_start(self) -> bool:
        """Return whether daemon.json is newer than the running daemon, which may use earlier settings."""
        return self.replaced_since_start(self.path)

    def replaced_since_start(self, path: str) -> bool:
        """Return whether a file was written since the daemon started, or an older one was moved to its path.

        A moved file keeps its time of modification: then its status and its folder have changed. Either alone
        may be due to other permissions, or to other files in the folder.
        """
        files, started = self._snapshot.fact("files"), self._snapshot.fact("engine").get("started")

        def time_of(name: str, kind: str) -> int | None:
            record = files.get(name)
            return record.get(kind) if isinstance(record, Mapping) else None

        if changed_since(started, time_of(path, "mtime")):
            return True
        moved = (time_of(path, "ctime"), time_of(posixpath.dirname(path), "mtime"))
        return all(changed_since(started, when) for when in moved)

    def drift(self, key: str, effective: object) -> str:
        """Describe how a declared boolean differs from the effective one, as a phrase; empty if equal."""
        try:
            declared = self.boolean(key)
        except FactUnavailable as broken:
            return f"; the declared setting cannot be read: {broken.reason}"
        if declared.value == effective:
            return ""
        return f"; declared {declared}: it takes effect at the next restart"

    def evidence(self, *keys: str) -> list[str]:
        """Return declared values of keys, and problems of the file, as evidence."""
        facts = []
        try:
            facts += [f"{key}: {self._shown(key)}" for key in keys]
            facts += [f"{key} is set on the command line and in {self.path}" for key in self.conflicts]
            facts += [f"{key} is set more than once in {self.path}" for key in self.duplicates]
        except FactUnavailable as broken:
            facts.append(broken.reason)
        return facts

    def _shown(self, key: str) -> str:
        declared = self.get(key)
        if isinstance(declared.value, list) and declared.origin.startswith("--"):
            return str(Declared(", ".join(map(str, declared.value)), declared.origin))
        return str(Declared("unset", declared.origin)) if declared.value is None else str(declared)


@dataclass(frozen=True, slots=True)
class TLS:
    """The protection of the API on TCP, as the daemon resolves its options."""

    enabled: bool
    verify: bool
    ca: str  # empty without a CA: client certificates of any public CA are then accepted
    cert: str
    key: str


def tls(snapshot: Snapshot, settings: Settings) -> TLS:
    """Resolve the daemon's TLS options the way dockerd does (cmd/dockerd/options.go, daemon.go).

    Setting ``tlsverify`` to anything turns TLS on; ``tls`` alone verifies clients as well. The default paths
    count only where the command line or ``DOCKER_TLS_VERIFY`` turned TLS on: with TLS from daemon.json alone,
    a path that is not set is empty.
    """
    flags = settings.get("tls").origin.startswith("--") or settings.get("tlsverify").origin.startswith("--")
    environment = snapshot.daemon_config.get("environment") or {}
    verify_set = settings.get("tlsverify").value is not None
    enabled = verify_set or (settings.get("tls").value is not None and bool(settings.boolean("tls").value))
    verify = bool(settings.boolean("tlsverify").value) if verify_set else enabled
    use_defaults = flags or bool(environment.get("DOCKER_TLS_VERIFY"))
    folder = _certificate_folder(snapshot, environment)

    def path(key: str, name: str) -> str:
        set_to = str(settings.text(key).value)
        return set_to or (f"{folder}/{name}" if use_defaults else "")

    return TLS(
        enabled, verify, path("tlscacert", "ca.pem"), path("tlscert", "cert.pem"), path("tlskey", "key.pem")
    )


def _certificate_folder(snapshot: Snapshot, environment: Mapping[str, str]) -> str:
    home = snapshot.fact("engine").get("home") or "/root"
    return environment.get("DOCKER_CERT_PATH") or environment.get("DOCKER_CONFIG") or f"{home}/.docker"


def api_hosts(snapshot: Snapshot, settings: Settings) -> tuple[str, ...]:
    """Return the declared addresses of the API, with ``fd://`` resolved to systemd's sockets.

    ``unix:///run/docker.sock``, ``tcp://0.0.0.0:2375``; the engine's default where nothing is declared.
    """
    declared = tuple(host.strip() for host in settings.entries("hosts").value) or ("unix://",)
    hosts = [_with_scheme(host) for host in declared if not host.startswith("fd://")]
    if len(hosts) < len(declared):
        hosts += socket_unit_hosts(snapshot)
    return tuple(dict.fromkeys(hosts))


def _with_scheme(host: str) -> str:
    """Add the scheme to an address of ``--host``, as dockerd does."""
    if host in ("", "unix://"):
        return "unix:///var/run/docker.sock"
    return host if "://" in host else f"tcp://{host}"


def socket_unit_hosts(snapshot: Snapshot) -> list[str]:
    """Return the addresses of the engine's socket units, in the form of ``--host``."""
    try:
        units = snapshot.fact("units")
    except FactAbsent:
        return []
    sockets = [unit or {} for name, unit in units.items() if name.endswith(".socket")]
    hosts = []
    for entry in (entry for unit in sockets for entry in unit.get("Listen") or ()):
        address = str(entry).removesuffix("(Stream)").strip()
        if address.startswith("/"):
            hosts.append(f"unix://{address}")
        elif address.startswith("vsock:"):
            continue  # the daemon cannot use it
        elif ":" in address or address.isdigit():
            hosts.append(f"tcp://{address}" if ":" in address else f"tcp://[::]:{address}")
    return hosts
