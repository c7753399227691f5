"""Read the daemon's declared settings: command line over daemon.json over the engine's defaults.

If the engine itself reports a value, that effective one decides; ``Settings.drift`` describes a difference.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import (
    DEFAULT_PATH,
    FILE,
    changed_since,
    default_of,
)
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import TLS_FILES, Host, parents

from hardener.checks.lib import mounttable
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_OPTIONAL = ("audit.loaded", "units")
_TEXTS = frozenset({"data-root", "default-runtime", "group", *(key for key, _ in TLS_FILES)})


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
    verify_set = settings.get("tlsverify").value is not None
    enabled = verify_set or (settings.get("tls").value is not None and bool(settings.boolean("tls").value))
    verify = bool(settings.boolean("tlsverify").value) if verify_set else enabled
    return TLS(enabled, verify, *Facts(snapshot, settings).tls_paths().values())


def api_hosts(snapshot: Snapshot, settings: Settings) -> tuple[str, ...]:
    """Return the declared addresses of the API, with ``fd://`` resolved to systemd's sockets."""
    return tuple(Facts(snapshot, settings).api_hosts())


class Facts(Host):
    """The facts of a host that subjects are found by; a fact that could not be read raises."""

    def __init__(self, snapshot: Snapshot, settings: Settings | None = None) -> None:
        self._snapshot = snapshot
        self._given = settings

    @cached_property
    def _settings(self) -> Settings:
        """Return the settings, which not every fact needs."""
        return self._given or Settings(self._snapshot)

    def data(self, source: str) -> Any:
        """Return the data of a source; an empty mapping on a host without systemd or auditd.

        Raises:
            FactUnavailable: the source failed or is not in this snapshot.
        """
        if source in _OPTIONAL:
            return self._snapshot.fact_or(source, {})
        return self._snapshot.fact(source)

    def setting(self, key: str) -> Any:
        """Return the declared value of a key, or its default.

        Raises:
            FactUnavailable: daemon.json cannot be parsed, or has a value of another type.
        """
        if key in _TEXTS:
            return self._settings.text(key).value
        if key == "hosts":
            return self._settings.entries(key).value
        value = self._settings.get(key).value
        return self._settings.boolean(key).value if key == "tls" and value is not None else value

    def flag(self, key: str) -> str:
        """Return the flag that sets a key; empty if the command line does not set it."""
        origin = self._settings.get(key).origin
        return origin if origin.startswith("--") else ""

    @property
    def info(self) -> JSONObject:
        """Return the engine's answer to /info; empty without an answer."""
        try:
            return self._snapshot.info
        except FactUnavailable:
            return {}

    @property
    def rootless(self) -> bool:
        """Return whether the daemon runs as a user other than root, according to its process or its API.

        Raises:
            FactUnavailable: its process was not found, and it answers without a report.
        """
        engine = self._snapshot.fact("engine")
        if engine.get("rootless") or engine.get("euid") is not None or not engine.get("reachable"):
            return bool(engine.get("rootless") or engine.get("euid"))
        return "rootless" in self._snapshot.security_options

    def exists(self, path: str) -> bool:
        """Return whether a path exists.

        Raises:
            FactUnavailable: the path was not collected.
        """
        if super().exists(path) or path in self.data("files"):
            return super().exists(path)
        raise FactUnavailable("files", f"{path} was not collected")

    def closed_folder(self, path: str) -> str:
        """Return the folder above a path that only root, or a rootless daemon's user, can search; else empty.

        No other user reaches what is below such a folder, whatever its mode, unless a mount shows it
        elsewhere. Folders that were not collected count as open, and so do all in snapshots without the order
        of mounts.
        """
        place = self.real(path)
        closed = self._closed_above(place)
        host = mounttable.host(self._snapshot) if closed else None
        location = host and host.table.locate(place)
        if not (host and location):
            return ""
        return closed if all(self._closed_above(name) for name, _ in host.table.names(location)) else ""

    def _closed_above(self, path: str) -> str:
        files, owners = self.data("files"), (0, self.data("engine").get("euid") or 0)
        for place in parents(path):
            record = files.get(place) or {}
            if record.get("type") == "dir" and record["uid"] in owners and not _others_search(record):
                return place
        return ""


def _others_search(record: JSONObject) -> bool:
    mode = int(record["mode"], 8)
    named = any(
        entry.get("id") is not None and "x" in str(entry.get("perms")) for entry in record.get("acl") or ()
    )
    return bool(named or mode & 0o001 or (mode & 0o010 and record["gid"] != 0))
