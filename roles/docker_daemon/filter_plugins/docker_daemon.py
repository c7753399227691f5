"""From a snapshot and the role's variables to the documents that `converge` makes true."""

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
_PACKAGES = ("docker-ce", "docker.io", "moby-engine")
_NAMED = 10
_ICC = "com.docker.network.bridge.enable_icc"
_MODULES_RESOURCE = {
    "kind": "file",
    "path": _MODULES_FILE,
    "content": (
        "# Written by hardener. Without this module, dockerd cannot make a bridge that restricts traffic\n"
        "# between containers (icc) or that does without the userland proxy.\n"
        "br_netfilter\n"
    ),
}
_MODULES_ACTIVATION = {"name": "modules-load", "when": [_MODULES_FILE], "modules": ["br_netfilter"]}


class FilterModule:
    """Filters of the role."""

    def filters(self) -> dict[str, Any]:
        """Filters by name."""
        return {"docker_daemon_documents": documents}


def documents(
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
) -> list[dict[str, Any]]:
    """The documents; the arguments are the role's variables."""
    host = _Host(snapshot)
    reason = host.unfit()
    if reason:
        return [{"name": "docker_daemon", "refused": reason}]
    found = [
        host.serving(),
        host.document(
            "icc", {"icc": icc}, bridge={_ICC: "true" if icc else "false"}, needs_bridge_module=not icc
        ),
        host.document("log_level", {"log-level": log_level}),
        _live_restore(host, live_restore),
        host.document(
            "no_new_privileges",
            {"no-new-privileges": no_new_privileges},
            costs=host.new_containers_only(),
            security=["no-new-privileges"] if no_new_privileges and host.version >= (24,) else [],
        ),
        host.document(
            "userland_proxy", {"userland-proxy": userland_proxy}, needs_bridge_module=not userland_proxy
        ),
        host.document("default_ulimits", _ulimits(default_ulimits), costs=host.new_containers_only()),
        _logging(host, log_driver, log_opts),
        *_user_namespace(host, userns_remap),
    ]
    return [*found, _extra(host, extra, found)]


class _Host:
    """What the documents depend on, and what they have in common."""

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
        """Version of the running engine; of its package where it does not answer."""
        packages = self._data("packages").get("installed") or {}
        packaged = next((str(packages[name]) for name in _PACKAGES if name in packages), "")
        version = str(self.info.get("ServerVersion") or packaged.rpartition(":")[2])
        numbers = version.partition("+")[0].partition("-")[0].split(".")
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

    @property
    def silent(self) -> bool:
        """Whether nobody knows what the engine holds: it does not answer, and has run before."""
        return not self.info and self.engine.get("ever_ran") is not False

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

    def new_containers_only(self) -> str:
        """Which containers a new default does not reach; empty where there are none."""
        names = sorted(
            str(container["inspect"].get("Name", "?")).lstrip("/")
            for container in self._data("docker.containers") or ()
        )
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        listed = f"{', '.join(names[:_NAMED])}{more}"
        return (
            f"reaches new containers; until they are created again, it is not for {listed}" if names else ""
        )

    def serving(self) -> dict[str, Any]:
        """What every change of the engine's configuration needs."""
        docker = {
            "name": "docker",
            "when": [self.config_path],
            "config": self.config_path,
            "dockerd": self.engine.get("binaries", {}).get("dockerd") or "",
            "argv": self.config.get("argv") or [],
            "flags": self.flags,
            "socket": self.engine.get("socket") or "/run/docker.sock",
            "unit": "docker.service",
            "stale": self.stale,
        }
        return {"name": "docker_daemon", "activations": [docker]}

    def document(
        self,
        variable: str,
        keys: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        *,
        impact: str = "daemon-restart",
        costs: str = "",
        needs_bridge_module: bool = False,
        info: Mapping[str, Any] | None = None,
        bridge: Mapping[str, str] | None = None,
        security: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The document of one variable.

        Args:
            variable: its name without the role's.
            keys: what daemon.json must have.
            defaults: what it gets where nobody has decided yet.
            impact: what bringing it into force costs.
            costs: that in words, where there is more to say.
            needs_bridge_module: whether the engine cannot do it without ``br_netfilter``.
            info: values that the engine reports once it is in force.
            bridge: options that its default bridge has then.
            security: names that stand among its security options then.
        """
        notes = []
        wish = {"keys": dict(keys), "defaults": dict(defaults or {})}
        for key in [*wish["keys"], *wish["defaults"]]:
            if key in _FLAGS and self.flag(key):
                notes.append(f"{key} is set on the engine's command line, and stays as it is there")
            elif not self.satisfied(key, keys.get(key)):
                continue
            for part in wish.values():
                part.pop(key, None)
        resource = {"kind": "json", "path": self.config_path, **wish, "whole": ["log-opts"]}
        expect = {"info": dict(info or {}), "bridge": dict(bridge or {}), "security": list(security)}
        docker = {"name": "docker", "when": [self.config_path], "expect": expect}
        return {
            "name": f"docker_daemon_{variable}",
            "impact": impact,
            "costs": costs,
            "resources": [resource, *([_MODULES_RESOURCE] if needs_bridge_module else [])],
            "activations": [*([_MODULES_ACTIVATION] if needs_bridge_module else []), docker],
            "notes": notes,
        }


def _live_restore(host: _Host, wanted: bool) -> dict[str, Any]:
    if wanted and host.swarm:
        reason = "this host is part of a swarm, which excludes live-restore"
        return {"name": "docker_daemon_live_restore", "refused": reason}
    return host.document(
        "live_restore", {"live-restore": wanted}, impact="reload", info={"LiveRestoreEnabled": wanted}
    )


def _ulimits(limits: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    if not limits:
        return {}
    return {
        "default-ulimits": {
            name: {"Name": name, "Soft": limit["soft"], "Hard": limit["hard"]}
            for name, limit in limits.items()
        }
    }


def _logging(host: _Host, driver: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The site's driver with its options; else rotation, where nobody has chosen anything yet."""
    texts = {key: str(value) for key, value in options.items()}
    if driver:
        wanted = {**_ROTATION, **texts} if driver in _ROTATING else texts
        keys = {"log-driver": driver, "log-opts": wanted}
        return host.document(
            "log_driver", keys, costs=host.new_containers_only(), info={"LoggingDriver": driver}
        )
    defaults: dict[str, Any] = {}
    declared = host.declared.get("log-driver") or (list(host.flag("log-driver")) or [""])[-1]
    if declared in ("", *_ROTATING):
        defaults["log-opts"] = {**_ROTATION, **texts}
        if not host.flag("log-driver"):
            defaults["log-driver"] = "json-file"
    return host.document("log_driver", {}, defaults, costs=host.new_containers_only())


def _user_namespace(host: _Host, wanted: str) -> list[dict[str, Any]]:
    """``auto``: where it is on, or nothing can be lost by it; a user's name: that one; ``never``: not set."""
    if wanted == "never" or host.flag("userns-remap"):
        return []
    if wanted != "auto":
        return [host.document("userns_remap", {"userns-remap": wanted}, security=["userns"])]
    if "userns-remap" in host.declared:
        on = bool(host.declared["userns-remap"])
        defaults = {"userns-remap": "default"} if on else {}
        return [host.document("userns_remap", {}, defaults, security=["userns"] if on else [])]
    reason = ""
    if host.silent:
        reason = "the engine does not answer, so that nobody knows what it holds"
    elif host.swarm:
        reason = "this host is part of a swarm"
    elif host.containerd_store:
        reason = "the engine keeps images in containerd's store, which excludes it"
    elif host.holds():
        reason = f"the engine would no longer see its {', '.join(host.holds())}"
    if reason:
        return [{"name": "docker_daemon_userns_remap", "refused": reason}]
    return [host.document("userns_remap", {}, {"userns-remap": "default"}, security=["userns"])]


def _extra(host: _Host, keys: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keys that have no variable of their own."""
    taken = {"live-restore", "userns-remap", "log-driver", "log-opts", "default-ulimits"}
    for document in others:
        for resource in document.get("resources", ()):
            taken |= {*resource.get("keys", ()), *resource.get("defaults", ())}
    named = sorted(taken & set(keys))
    if named:
        own = ", ".join(f"docker_daemon_{key.replace('-', '_')}" for key in named)
        reason = f"docker_daemon_extra sets {', '.join(named)}: use {own}"
        return {"name": "docker_daemon_extra", "refused": reason}
    return host.document("extra", keys)
