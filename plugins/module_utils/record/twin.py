"""Build the request that creates a twin of a container: same program and rights, isolated surroundings.

Its network has no way out, it publishes no ports, its volumes are its own, its log stays on the host, the
engine neither restarts it nor checks its health, and it has none of the labels by which compose, a proxy or
an updater would treat it as one of its own.
"""

from __future__ import annotations

import copy
from posixpath import normpath
from typing import Any, Collection, Iterable, Mapping, NamedTuple

from . import reach
from .volumes import WITH_DOORS

LABEL = "hardener.twin"
_LOW_PORTS = "net.ipv4.ip_unprivileged_port_start"
SWARM = "com.docker.swarm.task.id"
_MOST_PROCESSES = 16384  # of a twin whose original has no limit: generous, and below what a host can have
_PROTOCOLS = ("tcp", "udp", "sctp")
_CONFINING = (
    "Privileged",
    "CapAdd",
    "CapDrop",
    "SecurityOpt",
    "ReadonlyRootfs",
    "UsernsMode",
)


class Volume(NamedTuple):
    """A volume of the twin that replaces a volume, or a writable host folder, of the original."""

    name: str
    target: str
    read_only: bool
    copied: bool  # else it begins empty, or with the image's content


class Twin(NamedTuple):
    """The request that creates a twin, and the twin's differences from the original."""

    body: dict[str, Any]
    volumes: list[Volume]
    differences: list[str]
    ports: list[tuple[int, str]]  # of the container


def copied_sources(originals: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]) -> dict[str, int]:
    """Number the host paths that volumes replace; a path that several containers use has one number.

    Args:
        originals: inspect data of the containers.
        kinds: as in ``plan``.
    """
    found = set()
    for original in originals:
        for mount in original.get("Mounts") or ():
            source = mount.get("Source") or ""
            what = kinds.get(source)
            writable = mount.get("RW", True) and what == "directory"
            if mount["Type"] == "volume" or (mount["Type"] == "bind" and (writable or what == WITH_DOORS)):
                found.add(source)
    return {source: number for number, source in enumerate(sorted(found))}


def writable_sources(original: Mapping[str, Any]) -> list[str]:
    """Return the host paths of the mounts that a container can write to."""
    return [mount.get("Source") or "" for mount in original.get("Mounts") or () if mount.get("RW", True)]


def volume_name(run: str, number: int, *, used: bool) -> str:
    """Return the name of the volume for a host path, by its number in ``copied_sources``."""
    return f"hardener-twin-{run}-{number}-{'used' if used else 'empty'}"


def labels(run: str, image: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a container of a run: the run's label, and the image's labels without values.

    Args:
        run: the label's value.
        image: inspect data of its image, whose labels cannot be removed: they are emptied, so that proxies
            and similar tools ignore the container.
    """
    given = (image.get("Config") or {}).get("Labels") or {}
    return {**dict.fromkeys(given, ""), LABEL: run}


def plan(
    inspected: Mapping[str, Any],
    image: Mapping[str, Any],
    *,
    run: str,
    network: str,
    used: bool,
    kinds: Mapping[str, str],
    low_ports: str | None,
    sources: Mapping[str, int],
    unfiltered: bool,
    too_large: Collection[str] = (),
) -> Twin:
    """Plan the twin of a container.

    Args:
        inspected: inspect data of the original.
        image: inspect data of its image.
        run: the value of the twin's label.
        network: its network mode.
        used: whether its volumes are copies of the original's; else they begin empty.
        kinds: kind of each bind mount's source: ``directory``, ``file``, a directory of which the twin only
            gets a copy (``WITH_DOORS``), or another word for what the twin does not get.
        low_ports: the host's first port that needs no capability; None if the engine decides it.
        sources: numbers of the volumes that replace host paths (``copied_sources``).
        unfiltered: whether the engine starts the original without a seccomp filter.
        too_large: those of them that are never copied.
    """
    config: dict[str, Any] = copy.deepcopy(dict(inspected["Config"]))
    host: dict[str, Any] = copy.deepcopy(dict(inspected["HostConfig"]))
    differences: list[str] = []
    config["Image"] = inspected["Image"]
    config["Labels"] = labels(run, image)
    config["Healthcheck"] = {"Test": ["NONE"]}  # hardener runs it, and the engine does not
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
            "PidsLimit": host["PidsLimit"] if (host.get("PidsLimit") or 0) > 0 else _MOST_PROCESSES,
            "ContainerIDFile": "",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "Links": None,
            "VolumesFrom": None,
            "Binds": None,
            "NetworkMode": network,
            **reach.twins(host, differences, unfiltered=unfiltered),
        }
    )
    if network.startswith("container:"):  # of a twin
        config.pop("Hostname", None)
        config.pop("ExposedPorts", None)
    elif is_shared(mode):
        differences.append(
            f"the original uses the network of {owner(mode)}, its twin has a network of its own"
        )
        config.pop("Hostname", None)
        if mode == "host" and low_ports:
            host["Sysctls"] = {**(host.get("Sysctls") or {}), _LOW_PORTS: low_ports}
    for key, word in (("PidMode", "processes"), ("IpcMode", "shared memory"), ("UTSMode", "host name")):
        shared = str(host.get(key) or "")
        if is_shared(shared):
            differences.append(f"the original shares the {word} of {owner(shared)}, its twin does not")
            host[key] = "private" if key == "IpcMode" else ""
    if (inspected["Config"].get("Labels") or {}).get(SWARM):
        differences.append("the original is a task of Swarm: its twin has none of its secrets and configs")
    mounts = _Mounts(run, used=used, kinds=kinds, sources=sources, too_large=too_large)
    host["Mounts"], volumes = mounts.of(inspected, differences)
    return Twin({**config, "HostConfig": host}, volumes, differences, ports)


def confined(body: Mapping[str, Any], confinement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with other rights in place of the original's.

    Args:
        body: the request of a twin.
        confinement: ``host``, keys of a HostConfig, where a null in ``Tmpfs`` takes the original's away;
            ``user``, empty for the original's; ``devices``, paths in the container of those that it keeps.
    """
    own, new = body["HostConfig"], confinement["host"]
    host = {**own, **{key: new[key] for key in _CONFINING if key in new}}
    folders = {**(own.get("Tmpfs") or {}), **(new.get("Tmpfs") or {})}
    host["Tmpfs"] = {path: options for path, options in folders.items() if options is not None}
    host["Devices"] = [
        device
        for device in own.get("Devices") or ()
        if device.get("PathInContainer") in confinement["devices"]
    ]
    host["MaskedPaths"] = host["ReadonlyPaths"] = None  # the engine's, as under the files of a profile
    return {**body, "HostConfig": host, **({"User": confinement["user"]} if confinement["user"] else {})}


def is_shared(mode: str) -> bool:
    """Return whether the mode of a namespace names that of the host or of another container."""
    return mode == "host" or mode.startswith("container:")


def owner(mode: str) -> str:
    """Name the owner of a namespace that a container shares: the host or another container."""
    return "the host" if mode == "host" else "another container"


def published(inspected: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return the ports that the original publishes; those that it exposes where it publishes none."""
    every = every_port(inspected)
    some = any(is_published for _port, _protocol, is_published in every)
    return [(port, protocol) for port, protocol, is_published in every if is_published or not some]


def every_port(inspected: Mapping[str, Any]) -> list[tuple[int, str, bool]]:
    """Return the ports that the original publishes or exposes, and whether each is published.

    On the host's network, or if all are published, the exposed ones are. What an image names and no engine
    knows is left out.
    """
    host = inspected["HostConfig"] or {}
    bound = host.get("PortBindings") or {}
    exposed = inspected["Config"].get("ExposedPorts") or {}
    everything = bool(host.get("PublishAllPorts")) or host.get("NetworkMode") == "host"
    found = {}
    for entry in [*exposed, *bound]:
        number, _separator, protocol = str(entry).partition("/")
        protocol = protocol.lower() or "tcp"
        digits = number.isascii() and number.isdigit() and len(number) <= 5
        if digits and 1 <= int(number) <= 65535 and protocol in _PROTOCOLS:
            found[int(number), protocol] = everything or entry in bound
    return sorted((*key, is_published) for key, is_published in found.items())


class _Mounts:
    """Builds the mounts of twins; see ``plan``."""

    def __init__(
        self,
        run: str,
        *,
        used: bool,
        kinds: Mapping[str, str],
        sources: Mapping[str, int],
        too_large: Collection[str],
    ) -> None:
        self._run = run
        self._used = used
        self._kinds = kinds
        self._sources = sources
        self._too_large = too_large

    def of(
        self, inspected: Mapping[str, Any], differences: list[str]
    ) -> tuple[list[dict[str, Any]], list[Volume]]:
        """Return the mounts of a twin, and the volumes among them; append to the list of differences."""
        asked: list[dict[str, Any]] = []
        volumes: list[Volume] = []
        for mount in sorted(inspected.get("Mounts") or (), key=lambda each: each["Destination"]):
            target, source, kind = mount["Destination"], mount.get("Source") or "", mount["Type"]
            read_only = not mount.get("RW", True)
            what = self._kinds.get(source, "directory") if kind == "bind" else "directory"
            if kind in ("tmpfs", "image"):
                asked.append(_requested(inspected, target, kind))
            elif kind not in ("bind", "volume"):
                differences.append(f"the twin has no {target}: it is a mount of the kind {kind}")
            elif kind == "bind" and what not in ("directory", "file", WITH_DOORS):
                differences.append(f"the twin has no {target}: it is {what} of the host")
            elif kind == "bind" and source not in self._sources:
                if not read_only:
                    differences.append(f"{target} is read-only for the twin")
                asked.append({"Type": "bind", "Source": source, "Target": target, "ReadOnly": True})
            else:
                volumes.append(self._volume(mount, read_only=read_only))
                asked.append(self._requested_volume(volumes[-1]))
        return asked, volumes

    def _volume(self, mount: Mapping[str, Any], *, read_only: bool) -> Volume:
        source = mount["Source"]
        small = source not in self._too_large
        first = not self._used or not small
        name = volume_name(self._run, self._sources[source], used=not first)
        return Volume(
            name, mount["Destination"], read_only, small and (self._used or mount["Type"] == "bind")
        )

    def _requested_volume(self, volume: Volume) -> dict[str, Any]:
        return {
            "Type": "volume",
            "Source": volume.name,
            "Target": volume.target,
            "ReadOnly": volume.read_only,
            "VolumeOptions": {"NoCopy": volume.copied, "Labels": {LABEL: self._run}},
        }


def _requested(inspected: Mapping[str, Any], target: str, kind: str) -> dict[str, Any]:
    """Return the mount at a path as the original's request has it."""
    for mount in inspected["HostConfig"].get("Mounts") or ():
        if normpath(str(mount.get("Target"))) == normpath(target):
            return dict(mount)
    return {"Type": kind, "Target": target}
