"""The request that makes a twin of a container: the same program and rights, in a world of its own.

Its network has no way out, it publishes nothing, its volumes are its own, its log stays on the host, the
engine does not start it again, and compose does not take it for one of a project.
"""

from __future__ import annotations

import copy
from typing import Any, Mapping, NamedTuple

LABEL = "hardener.twin"
_COMPOSE = "com.docker.compose."
_LOW_PORTS = "net.ipv4.ip_unprivileged_port_start"
_CONFINING = (
    "Privileged",
    "CapAdd",
    "CapDrop",
    "SecurityOpt",
    "ReadonlyRootfs",
    "PidsLimit",
    "UsernsMode",
)
_FILTERED = ("bridge", "default", "nat")


class Volume(NamedTuple):
    """A mount of the twin that is filled with a copy of what the original has there."""

    name: str
    target: str
    read_only: bool
    copied: bool  # else it begins empty, or with what the image has there


class Twin(NamedTuple):
    """How to make a twin, and in what it differs from the original."""

    body: dict[str, Any]
    volumes: list[Volume]
    differences: list[str]
    ports: list[tuple[int, str]]  # of the container


def plan(
    inspected: Mapping[str, Any],
    *,
    run: str,
    network: str | None,
    used: bool,
    kinds: Mapping[str, str],
    low_ports: str | None,
) -> Twin:
    """Plan the twin of a container.

    Args:
        inspected: what the engine shows of the original.
        run: what the twin is labelled with.
        network: its network; None for none.
        used: whether its volumes are copies of the original's; else they begin empty.
        kinds: what the source of each bind mount is: ``directory``, ``file``, or another word for what the
            twin does not get.
        low_ports: the host's first port that needs no capability; None where the engine decides it.
    """
    config: dict[str, Any] = copy.deepcopy(dict(inspected["Config"]))
    host: dict[str, Any] = copy.deepcopy(dict(inspected["HostConfig"]))
    differences: list[str] = []
    config["Image"] = inspected["Image"]
    config["Labels"] = {
        name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith(_COMPOSE)
    }
    config["Labels"][LABEL] = run
    for key in ("MacAddress", "Volumes", "OnBuild"):
        config.pop(key, None)
    if config.get("Hostname") and inspected["Id"].startswith(config["Hostname"]):
        config.pop("Hostname")
    config.update({"AttachStdin": False, "AttachStdout": False, "AttachStderr": False})
    ports = published(inspected)
    mode = str(host.get("NetworkMode") or "default")
    host.update(
        {
            "PortBindings": {},
            "PublishAllPorts": False,
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "ContainerIDFile": "",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "Links": None,
            "VolumesFrom": None,
            "Binds": None,
            "NetworkMode": network or "none",
        }
    )
    if mode == "host" or mode.startswith("container:"):
        differences.append(f"the original has the network of {_owner(mode)}, its twin one of its own")
        config.pop("Hostname", None)
        if mode == "host" and low_ports:
            host["Sysctls"] = {**(host.get("Sysctls") or {}), _LOW_PORTS: low_ports}
    for key, word in (("PidMode", "processes"), ("IpcMode", "shared memory"), ("UTSMode", "host name")):
        shared = str(host.get(key) or "")
        if shared == "host" or shared.startswith("container:"):
            differences.append(f"the original shares the {word} of {_owner(shared)}, its twin does not")
            host[key] = "private" if key == "IpcMode" else ""
    host["Mounts"], volumes = _mounts(inspected, run, used=used, kinds=kinds, differences=differences)
    return Twin({**config, "HostConfig": host}, volumes, differences, ports)


def writable(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request with nothing that is read-only, but for the host's own files and folders."""
    host = dict(body["HostConfig"])
    host["ReadonlyRootfs"] = False
    host["Mounts"] = [
        {**mount, "ReadOnly": False} if mount["Type"] == "volume" else mount for mount in host["Mounts"]
    ]
    return {**body, "HostConfig": host}


def confined(body: Mapping[str, Any], confinement: Mapping[str, Any]) -> dict[str, Any]:
    """The request with a confinement in the place of the original's rights.

    Args:
        body: the request of a twin.
        confinement: ``host``, keys of a HostConfig; ``user``, empty for the original's; ``devices``, paths in
            the container of those that it keeps.
    """
    own, new = body["HostConfig"], confinement["host"]
    host = {**own, **{key: new[key] for key in _CONFINING if key in new}}
    host["Tmpfs"] = {**(own.get("Tmpfs") or {}), **(new.get("Tmpfs") or {})}
    host["Devices"] = [
        device
        for device in own.get("Devices") or ()
        if device.get("PathInContainer") in confinement["devices"]
    ]
    return {**body, "HostConfig": host, **({"User": confinement["user"]} if confinement["user"] else {})}


def _owner(mode: str) -> str:
    return "the host" if mode == "host" else "another container"


def published(inspected: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Ports that the original publishes; with the host's network those that its image exposes."""
    bound = (inspected["HostConfig"].get("PortBindings") or {}) if inspected["HostConfig"] else {}
    exposed = inspected["Config"].get("ExposedPorts") or {}
    everything = inspected["HostConfig"].get("PublishAllPorts") or inspected["HostConfig"].get(
        "NetworkMode"
    ) in ("host",)
    found = set()
    for entry in [*bound, *(exposed if everything or not bound else ())]:
        number, _, protocol = str(entry).partition("/")
        if number.isdigit() and 1 <= int(number) <= 65535:
            found.add((int(number), protocol or "tcp"))
    return sorted(found)


def _mounts(
    inspected: Mapping[str, Any],
    run: str,
    *,
    used: bool,
    kinds: Mapping[str, str],
    differences: list[str],
) -> tuple[list[dict[str, Any]], list[Volume]]:
    asked: list[dict[str, Any]] = []
    volumes: list[Volume] = []
    for number, mount in enumerate(
        sorted(inspected.get("Mounts") or (), key=lambda each: each["Destination"])
    ):
        target, source, kind = mount["Destination"], mount.get("Source") or "", mount["Type"]
        read_only = not mount.get("RW", True)
        if kind == "tmpfs":
            asked.append(_tmpfs(inspected, target))
            continue
        what = kinds.get(source, "directory") if kind == "bind" else "directory"
        if kind == "bind" and what not in ("directory", "file"):
            differences.append(f"the twin has no {target}: it is {what} of the host")
            continue
        if kind == "bind" and (read_only or what == "file"):
            if not read_only:
                differences.append(f"{target} is read-only for the twin")
            asked.append({"Type": "bind", "Source": source, "Target": target, "ReadOnly": True})
            continue
        name = f"hardener-twin-{run}-{number}-{'used' if used else 'empty'}"
        copied = kind == "bind" or used
        volumes.append(Volume(name, target, read_only, copied))
        asked.append(
            {
                "Type": "volume",
                "Source": name,
                "Target": target,
                "ReadOnly": read_only,
                "VolumeOptions": {"NoCopy": copied, "Labels": {LABEL: run}},
            }
        )
    return asked, volumes


def _tmpfs(inspected: Mapping[str, Any], target: str) -> dict[str, Any]:
    for mount in inspected["HostConfig"].get("Mounts") or ():
        if mount.get("Target") == target:
            return dict(mount)
    return {"Type": "tmpfs", "Target": target}
