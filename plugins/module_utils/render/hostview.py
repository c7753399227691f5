"""Read the snapshot of a host: the view that all renderers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Any

from ..docker.api import USUAL_SOCKET
from ..docker.keys import FILE
from ..subjects.host import Host

ENGINE_BRIDGES = ("docker", "br-")  # begin the names of the bridges that the engine makes
NO_ENGINE = "there is no Docker engine on this host"

_PACKAGES = ("docker-ce", "docker.io", "moby-engine")  # packages of the engine, with its version
_NETWORKS = ("bridge", "host", "none")  # networks that every engine has
_NAMED = 10


class HostView(Host):
    """A host by its snapshot; a source without data is an empty mapping."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self.sources: Mapping[str, Any] = snapshot["sources"]
        self.policy: Mapping[str, Any] = snapshot.get("policy") or {}
        self.system: Mapping[str, Any] = self.data("system")
        self.os: Mapping[str, Any] = self.system.get("os") or {}
        self.engine: Mapping[str, Any] = self.data("engine")
        self.config: Mapping[str, Any] = self.data("daemon.config")
        self.declared: Mapping[str, Mapping[str, Any]] = self.config.get("declared") or {}

    # --- sources

    def data(self, source: str) -> Any:
        """Return the data of a source; an empty mapping if there is none."""
        return self.entry(source).get("data") or {}

    def entry(self, source: str) -> Mapping[str, Any]:
        """Return a source with its state; an empty mapping if it was not collected."""
        found: Mapping[str, Any] = self.sources.get(source) or {}
        return found

    def state(self, source: str) -> str:
        """Return the state of a source; empty if it was not collected."""
        return str(self.entry(source).get("state") or "")

    def unread(self, *sources: str) -> str:
        """Return why one of these sources has no data; empty if all have data."""
        for source in sources:
            if source == "engine" and self.state(source) == "absent":
                return NO_ENGINE
            if self.state(source) != "ok":
                return f"{source} could not be read: {self.entry(source).get('error') or 'not collected'}"
        return ""

    # --- the host

    @property
    def in_container(self) -> bool:
        """Return whether the host is a container, and so uses the kernel of another host."""
        return bool(self.system.get("in_container")) or self.system.get("in_init_userns") is False

    # --- the engine

    def unserved(self) -> str:
        """Return why this host has no engine with a known configuration; empty if it has one."""
        if self.state("daemon.config") == "absent" and self.state("engine") == "ok":
            return NO_ENGINE
        return self.unread("engine", "daemon.config") or ("" if self.engine.get("installed") else NO_ENGINE)

    @property
    def serves(self) -> bool:
        """Return whether there is a system-wide engine."""
        return bool(self.engine.get("installed")) and not self.rootless

    @property
    def version(self) -> tuple[int, ...]:
        """Return the version of the running engine; of its package if it does not answer."""
        packages = self.data("packages").get("installed") or {}
        packaged = next((str(packages[name]) for name in _PACKAGES if name in packages), "")
        version = str(self.info.get("ServerVersion") or packaged.rpartition(":")[2])
        numbers = version.partition("+")[0].partition("-")[0].split(".")
        return tuple(int(number) for number in numbers if number.isdigit())

    @property
    def swarm(self) -> bool:
        """Return whether the host is part of a swarm."""
        return self.info.get("Swarm", {}).get("LocalNodeState", "inactive") not in ("", "inactive")

    @property
    def socket(self) -> str:
        """Return the socket of the engine's API."""
        return str(self.engine.get("socket") or USUAL_SOCKET)

    def setting(self, key: str) -> Any:
        """Return the declared value of a key, from the command line or daemon.json; None if it is not set."""
        return (self.declared.get(key) or {}).get("value")

    def flag(self, key: str) -> str:
        """Return the flag that sets a key, such as ``--icc``; empty if the command line does not set it."""
        origin = str((self.declared.get(key) or {}).get("origin") or FILE)
        return "" if origin == FILE else origin

    def in_file(self, key: str) -> Any:
        """Return a key's value in daemon.json; None if it is not set there, or is on the command line."""
        return None if self.flag(key) else self.setting(key)

    def secures(self, name: str) -> bool:
        """Return whether the running engine lists a security option."""
        options = self.info.get("SecurityOptions") or ()
        return any(f"name={name}" in str(option).split(",") for option in options)

    @property
    def bridge(self) -> Mapping[str, Any]:
        """Return the options of the default bridge; empty if there is none."""
        found = [each for each in self.data("docker.networks") or () if each.get("Name") == "bridge"]
        return (found[0].get("Options") or {}) if found else {}

    @property
    def has_global_ipv6(self) -> bool:
        """Return whether the host has an IPv6 address beyond those of loopback, links, and the engine."""
        addresses = [
            ip_interface(address).ip
            for interface in self.data("network").get("interfaces") or ()
            for address in interface["addresses"]
            if not interface["name"].startswith(ENGINE_BRIDGES)
        ]
        return any(each.version == 6 and not (each.is_loopback or each.is_link_local) for each in addresses)

    def activation(self, when: Sequence[str], **more: Any) -> dict[str, Any]:
        """Return the activation ``docker``, which is due if one of these paths changes."""
        return {"name": "docker", "when": list(when), **more}

    # --- containers and data

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Return inspect data of every readable container; see ``unread_containers`` for the others."""
        found = self.data("docker.containers") or ()
        return [container["inspect"] for container in found if not container.get("error")]

    def unread_containers(self) -> str:
        """Return the unreadable containers, and the reason for the first; empty if all are readable."""
        found = [each for each in self.data("docker.containers") or () if each.get("error")]
        if not found:
            return ""
        return (
            f"{listed([name_of(each['inspect']) for each in found])} could not be read: {found[0]['error']}"
        )

    @property
    def running(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Return inspect data and processes of the running containers."""
        found = self.data("docker.containers") or ()
        return [(each["inspect"], each["proc"]) for each in found if each.get("proc")]

    @property
    def names(self) -> list[str]:
        """Return the names of all containers."""
        return sorted(name_of(each["inspect"]) for each in self.data("docker.containers") or ())

    def holds(self) -> list[str]:
        """Return the counts of objects that another data root would hide, such as ``2 images``."""
        found = {"containers": self.info.get("Containers") or 0, "images": self.info.get("Images") or 0}
        found["volumes"] = len(self.data("docker.volumes") or ())
        networks = self.data("docker.networks") or ()
        found["networks"] = sum(1 for network in networks if network.get("Name") not in _NETWORKS)
        return [f"{count} {what}" for what, count in found.items() if count]


def name_of(inspect: Mapping[str, Any]) -> str:
    """Return a container's name from its inspect data; if it has none, its short id."""
    return str(inspect.get("Name") or "").lstrip("/") or str(inspect.get("Id") or "?")[:12]


def listed(names: Sequence[str]) -> str:
    """Return names in one line, at most the first ten."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
