"""Render the documents of the role docker_daemon."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..contract import DAEMON_RESTART, IMPACTS, RELOAD
from ..docker.losses import LOOPBACK, Offer, insecure, lost, plain_mirrors, told
from . import docker_daemon_tls
from .docker_daemon_document import document_of, new_containers_only, refused
from .firewall_host import has_chain
from .hostview import HostView, listed, name_of

_ROTATION = {"max-size": "10m", "max-file": "3"}
_ROTATING = ("json-file", "local")
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
_TERM = ("SIGTERM", "TERM", "15")
_UNMAINTAINED = ("aufs", "devicemapper")
_REDACTED = re.compile(r"hmac:[0-9a-f]{16}")  # replaces a secret in a snapshot, and must never be written
_ICC = "com.docker.network.bridge.enable_icc"
_WITHOUT_DEFAULT = ("base_device_size", "cgroup_parent", "default_network_opts", "ip")
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
        reason = "the engine is rootless; this role configures only system-wide engines"
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
        _icc(host, allowed=icc),
        *_new_networks(host, variables["default_network_opts"]),
        *_ip(host, variables["ip"]),
        _log_level(host, variables["log_level"]),
        _live_restore(host, variables["live_restore"]),
        document_of(
            host,
            "no_new_privileges",
            {"no-new-privileges": privileges},
            costs=new_containers_only(host),
            security=["no-new-privileges"] if privileges and host.version >= (24,) else [],
        ),
        _userland_proxy(host, wanted=proxy),
        _default_ulimits(host, variables["default_ulimits"]),
        _logging(host, variables["log_driver"], variables["log_opts"]),
        *_packet_filter(host, wanted=variables["iptables"]),
        _registries(host, variables["insecure_registries"], mirrors="registry-mirrors" not in extra),
        _authorization(host, variables["authorization_plugins"]),
        *_storage(host, variables["storage_driver"]),
        *_base_device_size(host, variables["base_device_size"]),
        *_cgroup_parent(host, variables["cgroup_parent"]),
        *_experimental(host, wanted=variables["experimental"]),
    ]
    return [*found, *_given_back(host, variables, found), _extra(host, extra, found)]


def _icc(host: HostView, *, allowed: bool) -> dict[str, Any]:
    """Return the document for traffic between containers of the default bridge."""
    return document_of(
        host,
        "icc",
        {"icc": allowed},
        **_losses(host, icc=allowed),
        bridge={_ICC: "true" if allowed else "false"},
        needs_bridge_module=not allowed,
    )


def _userland_proxy(host: HostView, *, wanted: bool) -> dict[str, Any]:
    """Return the document for the userland proxy, which alone forwards IPv6 to containers without IPv6."""
    return document_of(
        host,
        "userland_proxy",
        {"userland-proxy": wanted},
        **_losses(host, proxy=wanted),
        needs_bridge_module=not wanted,
    )


def _losses(host: HostView, *, least: str = DAEMON_RESTART, **changed: Any) -> dict[str, Any]:
    """Return the impact and the costs of a document whose settings change what the engine offers."""
    offer = Offer(
        containers=[inspect for inspect, _proc in host.running],
        ipv6=host.has_global_ipv6,
        proxy=host.setting("userland-proxy") is not False,
        icc=host.bridge.get(_ICC) != "false",
        registries=[
            *insecure(host.setting("insecure-registries"), host.version),
            *plain_mirrors(host.setting("registry-mirrors")),
        ],
    )
    found = lost(offer, offer._replace(**changed))
    return {
        "losses": [each.text for each in found],
        "impact": max((least, *(each.impact for each in found)), key=IMPACTS.index),
        "costs": "; ".join(f"{sentence}: {listed(sorted(texts))}" for sentence, texts in told(found).items()),
    }


def _given_back(
    host: HostView, variables: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return documents that restore the keys of variables that the site no longer sets."""
    applied = set(host.data("hardener.runs").get("wishes") or ()) - {each["name"] for each in found}
    return [
        {**document_of(host, variable, {}), "takes_back": True}
        for variable in _WITHOUT_DEFAULT
        if not variables[variable] and f"docker_daemon_{variable}" in applied
    ]


def _ip(host: HostView, address: str) -> list[dict[str, Any]]:
    """Return the document for the publishing address of the default bridge, if the site sets one."""
    return [document_of(host, "ip", {"ip": address}, costs=new_containers_only(host))] if address else []


def _new_networks(host: HostView, options: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the document for the default options of new networks, by driver."""
    if not options:
        return []
    for driver, given in options.items():
        if not isinstance(given, Mapping):
            raise ValueError(f"docker_daemon_default_network_opts: {driver} needs a mapping of options")
    if host.version and host.version < (24,):
        numbers = ".".join(map(str, host.version))
        return [
            refused(
                "default_network_opts", f"it needs engine 24.0 or later, and this host has engine {numbers}"
            )
        ]
    networks = sorted(
        str(network.get("Name"))
        for network in host.data("docker.networks") or ()
        if network.get("Driver") in options and network.get("Name") not in ("bridge", "host", "none")
    )
    costs = f"applies to networks created from now on, and not to {listed(networks)}" if networks else ""
    wanted = {driver: {key: str(value) for key, value in given.items()} for driver, given in options.items()}
    return [document_of(host, "default_network_opts", {"default-network-opts": wanted}, costs=costs)]


def _log_level(host: HostView, level: str) -> dict[str, Any]:
    """Return the document for the log level; it also switches off debug mode, which would override it."""
    said = "debug" in host.declared
    debugging = level != "debug" and (said or bool(host.info.get("Debug")))
    keys = {"log-level": level, **({"debug": False} if level != "debug" and said else {})}
    return document_of(host, "log_level", keys, info={"Debug": False} if debugging else {})


def _live_restore(host: HostView, wanted: bool) -> dict[str, Any]:
    if wanted and host.swarm:
        return refused("live_restore", "this host is part of a swarm, which excludes live-restore")
    begins = wanted and not host.info.get("LiveRestoreEnabled")
    return document_of(
        host,
        "live_restore",
        {"live-restore": wanted},
        impact=RELOAD,
        costs=_slower_reboot(host) if begins else "",
        info={"LiveRestoreEnabled": wanted},
    )


def _slower_reboot(host: HostView) -> str:
    """Return how a reboot ends containers that outlive the engine; empty if none runs."""
    signals = {
        name_of(inspect): str((inspect.get("Config") or {}).get("StopSignal") or "SIGTERM")
        for inspect, _proc in host.running
    }
    if not signals:
        return ""
    others = [f"{name} ({signal})" for name, signal in sorted(signals.items()) if signal not in _TERM]
    without = f", without the stop signal of {listed(others)}" if others else ""
    return (
        f"at a reboot, systemd and not the engine ends {listed(sorted(signals))}: by SIGTERM{without}, and by"
        " SIGKILL only after DefaultTimeoutStopSec, usually 90 s"
    )


def _default_ulimits(host: HostView, limits: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return the document for default limits, which are no higher than the engine can set them."""
    keys = _ulimits(limits)
    notes = []
    most, files = host.engine.get("most_open_files"), keys.get("default-ulimits", {}).get("nofile")
    if isinstance(most, int) and files and (files["Hard"] == -1 or files["Hard"] > most):
        soft = files["Soft"] if 0 <= files["Soft"] <= most else most
        keys["default-ulimits"]["nofile"] = {"Name": "nofile", "Soft": soft, "Hard": most}
        notes.append(f"nofile is at most {most}, as the engine can set no higher limit of open files")
    return document_of(
        host,
        "default_ulimits",
        keys,
        costs=f"applies to these containers after a restart: {listed(host.names)}" if host.names else "",
        notes=notes,
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
    """Return the document for the site's log driver and options; without them, rotation as a default."""
    texts = {key: str(value) for key, value in options.items()}
    if driver:
        wanted = {**_ROTATION, **texts} if driver in _ROTATING else texts
        keys = {"log-driver": driver, "log-opts": wanted}
        notes = []
        if any(value.startswith(("tcp:", "tcp+tls:")) for value in wanted.values()):
            notes.append("no container starts while the target of its log driver is down")
        return document_of(
            host,
            "log_driver",
            keys,
            costs=new_containers_only(host),
            info={"LoggingDriver": driver},
            notes=notes,
        )
    set_here: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    declared = host.setting("log-driver") or ""
    if declared == "none":
        reason = "the driver none discards all logs: set docker_daemon_log_driver"
        return refused("log_driver", reason)
    if texts and declared not in ("", *_ROTATING):
        reason = f"its options are for another driver than {declared}: set docker_daemon_log_driver too"
        return refused("log_driver", reason)
    if declared in ("", *_ROTATING):
        (set_here if texts else defaults)["log-opts"] = {**_ROTATION, **texts}
        if not host.flag("log-driver"):
            defaults["log-driver"] = "json-file"
    return document_of(host, "log_driver", set_here, defaults, costs=new_containers_only(host))


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
    return [document_of(host, "iptables", keys, chains=["DOCKER"] if flushed else [])]


def _flushed(host: HostView) -> bool:
    """Return whether an engine that filters with iptables has lost its rules since it started."""
    saved = (host.data("firewall").get("iptables") or {}).get("ipv4")
    backend = str((host.info.get("FirewallBackend") or {}).get("Driver", ""))
    if not (host.info and isinstance(saved, str)) or backend.startswith("nftables"):
        return False
    if host.setting("firewall-backend"):
        return False
    return not has_chain(host, "ipv4", "DOCKER")


def _registries(host: HostView, site: Sequence[str], *, mirrors: bool) -> dict[str, Any]:
    """Return the document that permits only the site's insecure registries, and no mirror over plain HTTP."""
    keys: dict[str, Any] = {}
    wanted = list(site or LOOPBACK)  # an empty list ends the exemption, and a reload ignores an absent key
    if site or "insecure-registries" in host.declared:
        keys["insecure-registries"] = wanted
    declared = host.in_file("registry-mirrors")
    if mirrors and isinstance(declared, list):
        found = [str(mirror) for mirror in declared]
        encrypted = [mirror for mirror in found if mirror.rstrip("/") not in plain_mirrors(found)]
        if not any(_REDACTED.search(mirror) for mirror in found):
            keys["registry-mirrors"] = encrypted
        elif encrypted != found:
            reason = (
                f"registry-mirrors in {host.config_path} has a mirror over plain HTTP, and a mirror with a"
                " password, which only the host knows: remove the mirror over plain HTTP from the file"
            )
            return refused("insecure_registries", reason)
    after = [
        *insecure(keys.get("insecure-registries", host.setting("insecure-registries")), host.version),
        *plain_mirrors(keys.get("registry-mirrors", host.setting("registry-mirrors"))),
    ]
    losses = _losses(host, least=RELOAD, registries=after)
    return document_of(host, "insecure_registries", keys, **losses)


def _authorization(host: HostView, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the document for the site's authorisation plugins; the host checks whether they answer."""
    if wanted:
        note = "have the plugin start before the engine, which does not start without it"
        keys = {"authorization-plugins": list(wanted)}
        return document_of(host, "authorization_plugins", keys, notes=[note])
    if "authorization-plugins" in host.declared:
        return document_of(host, "authorization_plugins", {})
    reason = (
        "no authorization plugin is chosen: install one, then name it in"
        " docker_daemon_authorization_plugins; or waive the control"
    )
    return {**refused("authorization_plugins", reason), "asked": False}  # no plugin is named


def _storage(host: HostView, wanted: str) -> list[dict[str, Any]]:
    """Return the document that replaces an unmaintained storage driver, if that hides no data."""
    driver = str(host.info.get("Driver", ""))
    if driver not in _UNMAINTAINED:
        return []
    if host.holds():
        reason = (
            f"without {driver}, the engine would no longer see its {', '.join(host.holds())}: save what you"
            " need (docker save), remove them, and run the role again"
        )
        return [refused("storage_driver", reason)]
    keys: dict[str, Any] = {"storage-driver": wanted}
    if "storage-opts" in host.declared:
        keys["storage-opts"] = [each for each in _storage_opts(host) if not each.startswith("dm.")]
    return [document_of(host, "storage_driver", keys, info={"Driver": wanted})]


def _base_device_size(host: HostView, size: str) -> list[dict[str, Any]]:
    """Return the document that sets devicemapper's ``dm.basesize``, or removes it if ``size`` is empty."""
    wanted = [f"dm.basesize={size}"] if size else []
    kept = [each for each in _storage_opts(host) if each.partition("=")[0].strip() != "dm.basesize"]
    if host.info.get("Driver") != "devicemapper" or sorted(kept + wanted) == sorted(_storage_opts(host)):
        return []
    return [document_of(host, "base_device_size", {"storage-opts": kept + wanted})]


def _storage_opts(host: HostView) -> list[str]:
    return [str(each) for each in host.setting("storage-opts") or ()]


def _cgroup_parent(host: HostView, wanted: str) -> list[dict[str, Any]]:
    """Return the document that sets the site's cgroup parent, or removes a parent that is not approved."""
    declared = host.setting("cgroup-parent")
    approved = host.policy.get("cgroup_parents") or ()
    if not wanted and (not declared or declared in approved):
        return []
    return [document_of(host, "cgroup_parent", {"cgroup-parent": wanted}, costs=new_containers_only(host))]


def _experimental(host: HostView, *, wanted: bool) -> list[dict[str, Any]]:
    on = bool(host.info.get("ExperimentalBuild"))
    if wanted or not (on or "experimental" in host.declared):
        return []
    if host.version < (27,) and host.setting("ip6tables") is True:
        reason = "before engine 27.0, ip6tables needs experimental features: update the engine first"
        return [refused("experimental", reason)]
    return [document_of(host, "experimental", {"experimental": False}, info={"ExperimentalBuild": False})]


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
        return refused("extra", f"docker_daemon_extra sets {', '.join(named)}: use {', '.join(variables)}")
    return document_of(host, "extra", keys)
