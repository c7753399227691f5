"""Render the documents of the role docker_daemon."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..contract import DAEMON_RESTART, RELOAD
from . import docker_daemon_tls
from .hostview import HostView, listed

_MODULES_FILE = "/etc/modules-load.d/hardener-docker.conf"
_ROTATION = {"max-size": "10m", "max-file": "3"}
_ROTATING = ("json-file", "local")
# Keys for which any value on the command line is accepted.
_LEFT_TO_FLAGS = ("default-ulimits", "log-opts")
# Keys with a variable, even if it requests nothing for this host.
_OWN = (
    "authorization-plugins",
    "cgroup-parent",
    "default-network-opts",
    "default-ulimits",
    "experimental",
    "insecure-registries",
    "ip",
    "iptables",
    "live-restore",
    "log-driver",
    "log-opts",
)
_UNMAINTAINED = ("aufs", "devicemapper")
_REDACTED = re.compile(r"hmac:[0-9a-f]{16}")  # replaces a secret in a snapshot, and must never be written
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
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {
    "log_driver": ("log_opts",),
    "tls": ("tls_days", "tls_directory", "tls_files", "tls_names"),
}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents.

    Args:
        snapshot: of the host.
        variables: the role's, and the inventory's name of the host (``host``) and its ``address`` there.
    """
    return [*_configuration(snapshot, variables), *docker_daemon_tls.documents(snapshot, variables)]


def details(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names for which a certificate has to be issued (``certified``)."""
    return {"certified": docker_daemon_tls.names(snapshot, variables)}


def _configuration(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the documents of all variables but those of TLS."""
    host = HostView(snapshot)
    reason = host.unserved()
    if not reason and host.rootless:
        reason = "the engine is rootless; this role sets up the system's"
    if reason:
        return [{"name": "docker_daemon", "refused": reason}]
    icc, proxy = variables["icc"], variables["userland_proxy"]
    privileges, extra = variables["no_new_privileges"], variables["extra"]
    found = [
        # Required by every change of the engine's configuration.
        {
            "name": "docker_daemon",
            "activations": [host.activation([host.config_path], loaded=True)],
        },
        _document(
            host, "icc", {"icc": icc}, bridge={_ICC: "true" if icc else "false"}, needs_bridge_module=not icc
        ),
        *_new_networks(host, variables["default_network_opts"]),
        *_ip(host, variables["ip"]),
        _log_level(host, variables["log_level"]),
        _live_restore(host, variables["live_restore"]),
        _document(
            host,
            "no_new_privileges",
            {"no-new-privileges": privileges},
            costs=_new_containers_only(host),
            security=["no-new-privileges"] if privileges and host.version >= (24,) else [],
        ),
        _document(host, "userland_proxy", {"userland-proxy": proxy}, needs_bridge_module=not proxy),
        _document(
            host, "default_ulimits", _ulimits(variables["default_ulimits"]), costs=_new_containers_only(host)
        ),
        _logging(host, variables["log_driver"], variables["log_opts"]),
        *_packet_filter(host, wanted=variables["iptables"]),
        _registries(host, variables["insecure_registries"], mirrors="registry-mirrors" not in extra),
        _authorization(host, variables["authorization_plugins"]),
        *_storage(host, variables["storage_driver"]),
        *_base_device_size(host, variables["base_device_size"]),
        *_cgroup_parent(host, variables["cgroup_parent"]),
        *_experimental(host, wanted=variables["experimental"]),
    ]
    return [*found, _extra(host, extra, found)]


def _satisfied(flag_value: Any, value: Any) -> bool:
    """Return whether the command line already sets this value, so that the file must not."""
    if isinstance(flag_value, list) and isinstance(value, list):
        return sorted(map(str, flag_value)) == sorted(map(str, value))
    return type(flag_value) is type(value) and bool(flag_value == value)


def _flag_value(host: HostView, key: str) -> str:
    """Return the flag of a key with its value, as on the command line."""
    value = host.setting(key)
    words = [str(each).lower() if isinstance(each, bool) else str(each) for each in _list(value)]
    return " ".join([host.flag(key), *words])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _new_containers_only(host: HostView) -> str:
    """Return the containers to which a new default does not apply; empty if there are none."""
    reached = "applies to new containers only; recreate these for it to apply:"
    return f"{reached} {listed(host.names)}" if host.names else ""


def _refused(variable: str, reason: str) -> dict[str, Any]:
    """Return the document of a variable that cannot be applied to this host, with the reason."""
    return {"name": f"docker_daemon_{variable}", "refused": reason}


def _document(
    host: HostView,
    variable: str,
    keys: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    *,
    impact: str = DAEMON_RESTART,
    costs: str = "",
    needs_bridge_module: bool = False,
    info: Mapping[str, Any] | None = None,
    bridge: Mapping[str, str] | None = None,
    security: Sequence[str] = (),
    chains: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document of one variable.

    Args:
        host: the host.
        variable: its name without the role's.
        keys: what daemon.json must have.
        defaults: values set only if the key is not set otherwise.
        impact: the impact of bringing it into force.
        costs: details of the impact, in words.
        needs_bridge_module: whether the engine needs ``br_netfilter`` for it.
        info: values that the engine reports once it is in force.
        bridge: options that its default bridge has then.
        security: names that are in its security options then.
        chains: those of iptables that it has created then.
        notes: for the reader of the result.
    """
    notes = list(notes)
    wish = {"keys": dict(keys), "defaults": dict(defaults or {})}
    for key in [*wish["keys"], *wish["defaults"]]:
        if not host.flag(key):
            continue
        if key in _LEFT_TO_FLAGS:
            notes.append(f"{key} is set on the engine's command line, and stays as it is there")
        elif not _satisfied(host.setting(key), keys.get(key)):
            given = _flag_value(host, key)
            reason = f"the engine's command line says {given}, and it does not start with {key} in"
            return _refused(variable, f"{reason} {host.config_path} too: take it out of the unit")
        for part in wish.values():
            part.pop(key, None)
    resource = {"kind": "json", "path": host.config_path, **wish, "whole": ["log-opts"]}
    expect = {"info": dict(info or {}), "bridge": dict(bridge or {}), "security": list(security)}
    if chains:
        expect["chains"] = list(chains)
    docker = {"name": "docker", "when": [host.config_path], "expect": expect}
    return {
        "name": f"docker_daemon_{variable}",
        "impact": impact,
        "costs": costs,
        "resources": [resource, *([_MODULES_RESOURCE] if needs_bridge_module else [])],
        "activations": [*([_MODULES_ACTIVATION] if needs_bridge_module else []), docker],
        "notes": notes,
    }


def _ip(host: HostView, address: str) -> list[dict[str, Any]]:
    """Return the document for the publishing address of the default bridge, if the site sets one."""
    return [_document(host, "ip", {"ip": address}, costs=_new_containers_only(host))] if address else []


def _new_networks(host: HostView, options: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the document for the default options of new networks, by driver."""
    if not options:
        return []
    for driver, given in options.items():
        if not isinstance(given, Mapping):
            raise ValueError(f"docker_daemon_default_network_opts: {driver} needs a mapping of options")
    if host.version and host.version < (24,):
        numbers = ".".join(map(str, host.version))
        return [_refused("default_network_opts", f"it came with engine 24.0, and this one is {numbers}")]
    networks = sorted(
        str(network.get("Name"))
        for network in host.data("docker.networks") or ()
        if network.get("Driver") in options and network.get("Name") not in ("bridge", "host", "none")
    )
    costs = f"applies to networks created from now on, and not to {listed(networks)}" if networks else ""
    wanted = {driver: {key: str(value) for key, value in given.items()} for driver, given in options.items()}
    return [_document(host, "default_network_opts", {"default-network-opts": wanted}, costs=costs)]


def _log_level(host: HostView, level: str) -> dict[str, Any]:
    """Return the document for the log level; it also switches off debug mode, which would override it."""
    said = "debug" in host.declared
    debugging = level != "debug" and (said or bool(host.info.get("Debug")))
    keys = {"log-level": level, **({"debug": False} if level != "debug" and said else {})}
    return _document(host, "log_level", keys, info={"Debug": False} if debugging else {})


def _live_restore(host: HostView, wanted: bool) -> dict[str, Any]:
    if wanted and host.swarm:
        return _refused("live_restore", "this host is part of a swarm, which excludes live-restore")
    return _document(
        host, "live_restore", {"live-restore": wanted}, impact=RELOAD, info={"LiveRestoreEnabled": wanted}
    )


def _ulimits(limits: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    if not limits:
        return {}
    for name, limit in limits.items():
        numbers = [limit.get(kind) for kind in ("soft", "hard")] if isinstance(limit, Mapping) else []
        if len(numbers) != 2 or not all(isinstance(number, int) for number in numbers):
            raise ValueError(f"docker_daemon_default_ulimits: {name} needs a number for soft and for hard")
        if limit["soft"] > limit["hard"] != -1:
            raise ValueError(f"docker_daemon_default_ulimits: {name} has a soft limit above its hard one")
    return {
        "default-ulimits": {
            name: {"Name": name, "Soft": limit["soft"], "Hard": limit["hard"]}
            for name, limit in limits.items()
        }
    }


def _logging(host: HostView, driver: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return the document for the site's log driver with its options; else rotation as a default."""
    texts = {key: str(value) for key, value in options.items()}
    if driver:
        wanted = {**_ROTATION, **texts} if driver in _ROTATING else texts
        keys = {"log-driver": driver, "log-opts": wanted}
        notes = []
        if any(value.startswith(("tcp:", "tcp+tls:")) for value in wanted.values()):
            notes.append("no container starts while the target of its log driver is down")
        return _document(
            host,
            "log_driver",
            keys,
            costs=_new_containers_only(host),
            info={"LoggingDriver": driver},
            notes=notes,
        )
    defaults: dict[str, Any] = {}
    declared = host.setting("log-driver") or ""
    if declared == "none":
        reason = "the driver none discards all logs: set docker_daemon_log_driver"
        return _refused("log_driver", reason)
    if declared in ("", *_ROTATING):
        defaults["log-opts"] = {**_ROTATION, **texts}
        if not host.flag("log-driver"):
            defaults["log-driver"] = "json-file"
    return _document(host, "log_driver", {}, defaults, costs=_new_containers_only(host))


def _packet_filter(host: HostView, *, wanted: bool) -> list[dict[str, Any]]:
    """Return the document that restores the engine's own rules, if they are switched off or missing."""
    if not wanted:
        return []
    switches = [key for key in ("iptables", "ip6tables") if key in host.declared]
    if host.version < (27,):  # the other backend is experimental in older versions
        switches = [key for key in switches if key == "iptables"]
    flushed = _flushed(host)
    if not (switches or flushed):
        return []
    keys = dict.fromkeys(switches or ["iptables"], True)
    return [_document(host, "iptables", keys, chains=["DOCKER"] if flushed else [])]


def _flushed(host: HostView) -> bool:
    """Return whether an engine that filters with iptables has lost its rules since it started."""
    saved = (host.data("firewall").get("iptables") or {}).get("ipv4")
    backend = str((host.info.get("FirewallBackend") or {}).get("Driver", ""))
    if not (host.info and isinstance(saved, str)) or backend.startswith("nftables"):
        return False
    if host.setting("firewall-backend"):
        return False
    table = saved.partition("*filter\n")[2].partition("\nCOMMIT")[0]
    return not any(line.startswith(":DOCKER ") for line in table.splitlines())


def _registries(host: HostView, insecure: Sequence[str], *, mirrors: bool) -> dict[str, Any]:
    """Return the document that requires verified TLS of registries not named by the site, and of mirrors."""
    keys: dict[str, Any] = {}
    if insecure or "insecure-registries" in host.declared:
        keys["insecure-registries"] = list(insecure)
    declared = host.in_file("registry-mirrors")
    if mirrors and isinstance(declared, list):
        found = [str(mirror) for mirror in declared]
        encrypted = [mirror for mirror in found if not _uses_plain_http(mirror)]
        if not any(_REDACTED.search(mirror) for mirror in found):
            keys["registry-mirrors"] = encrypted
        elif encrypted != found:
            reason = (
                f"registry-mirrors in {host.config_path} names one over plain HTTP, and one with a password,"
                " which only the host knows: remove the one over plain HTTP there"
            )
            return _refused("insecure_registries", reason)
    gone = [
        str(registry) for registry in host.in_file("insecure-registries") or () if registry not in insecure
    ]
    costs = f"images are no longer pulled from {listed(gone)} until its TLS can be verified" if gone else ""
    return _document(host, "insecure_registries", keys, impact=RELOAD, costs=costs)


def _uses_plain_http(mirror: str) -> bool:
    """Return whether a mirror is reached over plain HTTP on another host."""
    scheme, _separator, rest = mirror.lower().partition("://")
    name = rest.partition("/")[0].rpartition("@")[2]
    local = name.startswith(("localhost", "127.", "[::1]"))
    return scheme == "http" and not local


def _authorization(host: HostView, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the document for the site's authorisation plugins; the host checks whether they answer."""
    if wanted:
        note = "have the plugin start before the engine, which does not start without it"
        keys = {"authorization-plugins": list(wanted)}
        return _document(host, "authorization_plugins", keys, notes=[note])
    if "authorization-plugins" in host.declared:
        return _document(host, "authorization_plugins", {})
    reason = (
        "no authorization plugin is chosen: install one, then name it in"
        " docker_daemon_authorization_plugins; or waive the control"
    )
    return {**_refused("authorization_plugins", reason), "asked": False}  # no plugin is named


def _storage(host: HostView, wanted: str) -> list[dict[str, Any]]:
    """Return the document that replaces an unmaintained storage driver, if that hides no data."""
    driver = str(host.info.get("Driver", ""))
    if driver not in _UNMAINTAINED:
        return []
    if host.holds():
        reason = (
            f"without {driver}, the engine would no longer see its {', '.join(host.holds())}: save what you"
            " need (docker save), remove them, and run this again"
        )
        return [_refused("storage_driver", reason)]
    keys: dict[str, Any] = {"storage-driver": wanted}
    if "storage-opts" in host.declared:
        keys["storage-opts"] = [each for each in _storage_opts(host) if not each.startswith("dm.")]
    return [_document(host, "storage_driver", keys, info={"Driver": wanted})]


def _base_device_size(host: HostView, size: str) -> list[dict[str, Any]]:
    """Return the document without devicemapper's option that enlarges each container's disk."""
    wanted = [f"dm.basesize={size}"] if size else []
    kept = [each for each in _storage_opts(host) if each.partition("=")[0].strip() != "dm.basesize"]
    if host.info.get("Driver") != "devicemapper" or sorted(kept + wanted) == sorted(_storage_opts(host)):
        return []
    return [_document(host, "base_device_size", {"storage-opts": kept + wanted})]


def _storage_opts(host: HostView) -> list[str]:
    return [str(each) for each in host.setting("storage-opts") or ()]


def _cgroup_parent(host: HostView, wanted: str) -> list[dict[str, Any]]:
    """Return the document that sets the site's cgroup parent, or removes a parent that is not approved."""
    declared = host.setting("cgroup-parent")
    approved = host.policy.get("cgroup_parents") or ()
    if not wanted and (not declared or declared in approved):
        return []
    return [_document(host, "cgroup_parent", {"cgroup-parent": wanted}, costs=_new_containers_only(host))]


def _experimental(host: HostView, *, wanted: bool) -> list[dict[str, Any]]:
    on = bool(host.info.get("ExperimentalBuild"))
    if wanted or not (on or "experimental" in host.declared):
        return []
    if host.version < (27,) and host.setting("ip6tables") is True:
        reason = "ip6tables needs it before engine 27.0: update the engine first"
        return [_refused("experimental", reason)]
    return [_document(host, "experimental", {"experimental": False}, info={"ExperimentalBuild": False})]


def _extra(host: HostView, keys: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document for keys without their own variable."""
    elsewhere = {"seccomp-profile": "seccomp_profile", "userns-remap": "userns_remap_user"}
    own = {**dict.fromkeys(_OWN, ""), **elsewhere}
    for document in others:
        for resource in document.get("resources", ()):
            own |= dict.fromkeys((*resource.get("keys", ()), *resource.get("defaults", ())), "")
    named = sorted(own.keys() & keys)
    if named:
        variables = [own[key] or f"docker_daemon_{key.replace('-', '_')}" for key in named]
        return _refused("extra", f"it sets {', '.join(named)}: use {', '.join(variables)}")
    return _document(host, "extra", keys)
