"""From a snapshot and the role's variables to the document that `converge` makes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MODULES_FILE = "/etc/modules-load.d/hardener-docker.conf"
_ROTATION = {"max-size": "10m", "max-file": "3"}
_ROTATING = ("json-file", "local")
_FLAGS = {"default-ulimits": "default-ulimit", "log-opts": "log-opt"}
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
_ICC = "com.docker.network.bridge.enable_icc"


class FilterModule:
    """Filters of the role."""

    def filters(self) -> dict[str, Any]:
        """Filters by name."""
        return {"docker_daemon_document": document}


def document(
    snapshot: Mapping[str, Any],
    *,
    icc: bool,
    log_level: str,
    live_restore: bool,
    no_new_privileges: bool,
    userland_proxy: bool,
    default_ulimits: Mapping[str, Mapping[str, int]],
    log_driver: str,
    log_opts: Mapping[str, str],
    userns_remap: str,
    extra: Mapping[str, Any],
    allow_containers_stop: bool,
) -> dict[str, Any]:
    """The document; the arguments are the role's variables."""
    host = _Host(snapshot)
    reason = host.unfit()
    if reason:
        return {"name": "docker_daemon", "refused": reason}
    keys: dict[str, Any] = {
        "icc": icc,
        "log-level": log_level,
        "no-new-privileges": no_new_privileges,
        "userland-proxy": userland_proxy,
    }
    defaults: dict[str, Any] = {}
    notes: list[str] = []
    if default_ulimits:
        keys["default-ulimits"] = {
            name: {"Name": name, "Soft": limit["soft"], "Hard": limit["hard"]}
            for name, limit in default_ulimits.items()
        }
    if live_restore and host.swarm:
        notes.append("live-restore is not applied: this host is part of a swarm, which excludes it")
    else:
        keys["live-restore"] = live_restore
    _logging(keys, defaults, host, log_driver, log_opts)
    _user_namespace(keys, defaults, notes, host, userns_remap)
    named = sorted(set(extra) & {*keys, *defaults, "live-restore", "userns-remap", "log-driver", "log-opts"})
    if named:
        own = ", ".join(f"docker_daemon_{key.replace('-', '_')}" for key in named)
        return {"name": "docker_daemon", "refused": f"docker_daemon_extra sets {', '.join(named)}: use {own}"}
    keys.update(extra)
    for key in [key for key in keys if host.satisfied(key, keys[key])]:
        del keys[key]
    for key in _FLAGS:
        if host.flag(key):
            notes.append(f"{key} is set on the engine's command line, and stays as it is there")
            keys.pop(key, None)
            defaults.pop(key, None)
    return {
        "name": "docker_daemon",
        "resources": [
            {
                "kind": "json",
                "path": host.config_path,
                "keys": keys,
                "defaults": defaults,
                "whole": ["log-opts"],
            },
            *_modules_file(icc, userland_proxy),
        ],
        "activations": [
            *_modules(icc, userland_proxy),
            {
                "name": "docker",
                "when": [host.config_path],
                "config": host.config_path,
                "dockerd": host.engine.get("binaries", {}).get("dockerd") or "",
                "argv": host.config.get("argv") or [],
                "flags": host.flags,
                "socket": host.engine.get("socket") or "/run/docker.sock",
                "unit": "docker.service",
                "stale": host.stale,
                "allow_containers_stop": allow_containers_stop,
                "expect": _expect(keys, defaults, host, icc=icc, no_new_privileges=no_new_privileges),
            },
        ],
        "notes": notes,
    }


class _Host:
    """What the document depends on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._sources: Mapping[str, Any] = snapshot["sources"]
        self.engine = self._data("engine")
        self.config = self._data("daemon.config")
        self.info = self._data("docker.info")
        self.flags: Mapping[str, Sequence[str]] = self.config.get("flags") or {}
        self.declared: Mapping[str, Any] = self.config.get("parsed") or {}
        self.config_path = str(self.config.get("path") or "/etc/docker/daemon.json")

    def _data(self, source: str) -> Any:
        return self._sources.get(source, {}).get("data") or {}

    def unfit(self) -> str:
        """Why the role can do nothing here; empty where it can."""
        for source in ("engine", "daemon.config"):
            entry = self._sources.get(source, {})
            if entry.get("state") == "absent":
                return "there is no Docker engine on this host"
            if entry.get("state") != "ok":
                return f"{source} could not be read: {entry.get('error') or 'not collected'}"
        if not self.engine.get("installed"):
            return "there is no Docker engine on this host"
        if self.engine.get("rootless"):
            return "the engine is rootless; this role sets up the system's"
        return ""

    @property
    def swarm(self) -> bool:
        """Whether the host is part of a swarm."""
        return self.info.get("Swarm", {}).get("LocalNodeState", "inactive") not in ("", "inactive")

    @property
    def version(self) -> tuple[int, ...]:
        """Version of the running engine."""
        numbers = str(self.info.get("ServerVersion", "")).split("+")[0].split("-")[0].split(".")
        return tuple(int(number) for number in numbers if number.isdigit())

    @property
    def stale(self) -> bool:
        """Whether daemon.json is younger than the engine's process."""
        record = self._data("files").get(self.config_path) or {}
        return (record.get("mtime") or 0) > (self.engine.get("started") or float("inf"))

    def flag(self, key: str) -> Sequence[str]:
        """Values of a key on the command line."""
        return self.flags.get(_FLAGS.get(key, key)) or ()

    def satisfied(self, key: str, value: Any) -> bool:
        """Whether the command line gives a key that value already; the file must not give it again then."""
        given = self.flag(key)
        if not given:
            return False
        return bool(_BOOLEANS.get(given[-1]) is value if isinstance(value, bool) else given[-1] == value)

    def holds(self) -> list[str]:
        """What would be hidden by another data root."""
        found = {"containers": self.info.get("Containers") or 0, "images": self.info.get("Images") or 0}
        found["volumes"] = len(self._data("docker.volumes") or ())
        found["networks"] = sum(
            1
            for network in self._data("docker.networks") or ()
            if network.get("Name") not in ("bridge", "host", "none")
        )
        return [f"{count} {what}" for what, count in found.items() if count]

    @property
    def containerd_store(self) -> bool:
        """Whether images are in containerd's store."""
        features = self.declared.get("features") or {}
        status = {str(row[0]): str(row[1]) for row in self.info.get("DriverStatus") or () if len(row) == 2}
        return bool(features.get("containerd-snapshotter")) or "containerd" in status.get("driver-type", "")


def _logging(
    keys: dict[str, Any],
    defaults: dict[str, Any],
    host: _Host,
    log_driver: str,
    log_opts: Mapping[str, str],
) -> None:
    """The site's driver with its options; else rotation, where nobody has chosen anything yet."""
    options = {key: str(value) for key, value in log_opts.items()}
    if log_driver:
        keys["log-driver"] = log_driver
        keys["log-opts"] = {**_ROTATION, **options} if log_driver in _ROTATING else options
        return
    declared = host.declared.get("log-driver") or (list(host.flag("log-driver")) or [""])[-1]
    if declared in ("", *_ROTATING):
        defaults["log-opts"] = {**_ROTATION, **options}
        if not host.flag("log-driver"):
            defaults["log-driver"] = "json-file"


def _user_namespace(
    keys: dict[str, Any], defaults: dict[str, Any], notes: list[str], host: _Host, wanted: str
) -> None:
    """``auto``: where it is on, or nothing can be lost by it; a user's name: that one; ``never``: not set."""
    if wanted == "never" or host.flag("userns-remap"):
        return
    if wanted != "auto":
        keys["userns-remap"] = wanted
        return
    if "userns-remap" in host.declared:
        if host.declared["userns-remap"]:
            defaults["userns-remap"] = "default"
        return
    reason = ""
    if not host.info:
        reason = "the engine does not answer, so that nobody knows what it holds"
    elif host.swarm:
        reason = "this host is part of a swarm"
    elif host.containerd_store:
        reason = "the engine keeps images in containerd's store, which excludes it"
    elif host.holds():
        reason = f"the engine would no longer see its {', '.join(host.holds())}"
    if reason:
        notes.append(f"userns-remap is not applied: {reason}")
    else:
        defaults["userns-remap"] = "default"


def _expect(
    keys: Mapping[str, Any], defaults: Mapping[str, Any], host: _Host, *, icc: bool, no_new_privileges: bool
) -> dict[str, Any]:
    """Values that the engine itself reports once it runs on the document."""
    info = {}
    if "live-restore" in keys:
        info["LiveRestoreEnabled"] = keys["live-restore"]
    if "log-driver" in keys:
        info["LoggingDriver"] = keys["log-driver"]
    security = []
    if "userns-remap" in {**defaults, **keys}:
        security.append("userns")
    if no_new_privileges and host.version >= (24,):
        security.append("no-new-privileges")
    return {"info": info, "bridge": {_ICC: "true" if icc else "false"}, "security": security}


def _modules_file(icc: bool, userland_proxy: bool) -> list[dict[str, Any]]:
    if icc and userland_proxy:
        return []
    text = (
        "# Written by hardener. Without this module, dockerd cannot make a bridge that restricts traffic\n"
        "# between containers (icc) or that does without the userland proxy.\n"
        "br_netfilter\n"
    )
    return [{"kind": "file", "path": _MODULES_FILE, "content": text}]


def _modules(icc: bool, userland_proxy: bool) -> list[dict[str, Any]]:
    if icc and userland_proxy:
        return []
    return [{"name": "modules-load", "when": [_MODULES_FILE], "modules": ["br_netfilter"]}]
