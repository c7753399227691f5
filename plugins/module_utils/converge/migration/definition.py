"""Convert inspect data of a container or a network into a request that creates an equal one."""

from __future__ import annotations

import copy
from typing import Any, Dict, Iterable, Mapping, NamedTuple

Inspected = Dict[str, Any]  # the answer to an inspect request

PREDEFINED = frozenset({"bridge", "host", "none"})
_BRIDGE_NAME = "com.docker.network.bridge.name"
# Settings of an endpoint in a request; all other inspect data of an endpoint is state.
_ENDPOINT = ("IPAMConfig", "Aliases", "DriverOpts", "GwPriority")
_SHORT = 12


class Names(NamedTuple):
    """The names of containers and networks by their old ids: in the new engine ids differ, names stay."""

    containers: Mapping[str, str]  # old id -> name
    networks: Mapping[str, str]  # old id -> name


class Definition(NamedTuple):
    """How to create a container."""

    name: str
    body: dict[str, Any]
    networks: list[tuple[str, dict[str, Any]]]  # networks to connect once it exists


def container(
    inspected: Mapping[str, Any],
    image: Mapping[str, Any],
    names: Names,
    *,
    host_userns: bool,
    empty: frozenset[str] = frozenset(),
) -> Definition:
    """Return the request that creates a container again.

    Args:
        inspected: its inspect data in the old engine.
        image: inspect data of its image in the new engine.
        names: names of containers and networks.
        host_userns: it stays in the host's user namespace.
        empty: names of volumes that are empty, and must not be filled from the image.
    """
    config: dict[str, Any] = copy.deepcopy(dict(inspected["Config"]))
    host: dict[str, Any] = copy.deepcopy(dict(inspected["HostConfig"]))
    if not config.get("Entrypoint") and (image.get("Config") or {}).get("Entrypoint"):
        config["Entrypoint"] = []  # an explicit empty value; a missing one would be taken from the image
    if config.get("Image") not in (image.get("RepoTags") or ()):
        # Referenced by a digest, or by a tag that now belongs to another image.
        config["Image"] = inspected["Image"]
    if host_userns:
        host["UsernsMode"] = "host"
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        host[mode] = _renamed(host.get(mode) or "", names)
    host["VolumesFrom"] = [_volumes_from(entry, names) for entry in host.get("VolumesFrom") or ()] or None
    host["Links"] = [_legacy_link(link) for link in host.get("Links") or ()] or None
    _volumes(host, inspected, empty)
    mode = host["NetworkMode"]
    if mode.startswith("container:"):  # settings of the other container: the engine refuses to get them again
        for key in ("Hostname", "Domainname", "ExposedPorts", "MacAddress"):
            config.pop(key, None)
        host["PortBindings"] = None
    if host.get("UTSMode") == "host":
        config.pop("Hostname", None)
    endpoints = _endpoints(inspected, mode, names)
    first = endpoints.pop(mode, None)
    body = {**config, "HostConfig": host}
    if first:
        body["NetworkingConfig"] = {"EndpointsConfig": {mode: first}}
    return Definition(inspected["Name"].lstrip("/"), body, sorted(endpoints.items()))


def needs(inspected: Mapping[str, Any]) -> list[str]:
    """Return ids and names of the containers that must be created before this one."""
    host = inspected["HostConfig"]
    modes = [str(host.get(mode) or "") for mode in ("NetworkMode", "PidMode", "IpcMode")]
    found = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
    found += [str(entry).partition(":")[0] for entry in host.get("VolumesFrom") or ()]
    return found + [str(link).partition(":")[0].lstrip("/") for link in host.get("Links") or ()]


def ordered(containers: Iterable[Inspected]) -> list[Inspected]:
    """Return containers in an order in which each follows those that it needs."""
    waiting = list(containers)
    known = {each["Id"] for each in waiting} | {each["Name"].lstrip("/") for each in waiting}
    done: set[str] = set()
    found: list[Inspected] = []
    while waiting:
        ready = [each for each in waiting if not (set(needs(each)) & known) - done]
        for each in ready or waiting[:1]:  # two containers that need each other: left to the engine
            found.append(each)
            done.update((each["Id"], each["Name"].lstrip("/")))
            waiting.remove(each)
    return found


def network(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that creates a network again: same addresses, same kernel bridge.

    So rules that name the bridge stay valid, the engine's own and those of others.
    """
    body = {
        key: inspected[key]
        for key in ("Driver", "EnableIPv4", "EnableIPv6", "Internal", "Attachable", "ConfigOnly", "Labels")
        if key in inspected
    }
    body["Name"] = inspected["Name"]
    body["Options"] = dict(inspected.get("Options") or {})
    if inspected["Driver"] == "bridge" and not inspected.get("ConfigOnly"):
        body["Options"].setdefault(_BRIDGE_NAME, bridge(inspected))
    source = (inspected.get("ConfigFrom") or {}).get("Network")
    if source:
        body["ConfigFrom"] = {"Network": source}
    else:
        ipam = inspected.get("IPAM") or {}
        body["IPAM"] = {"Driver": ipam.get("Driver") or "default", "Options": ipam.get("Options")}
        body["IPAM"]["Config"] = [
            {key: value for key, value in pool.items() if value and key != "Status"}
            for pool in ipam.get("Config") or ()
        ]
    return body


def bridge(inspected: Mapping[str, Any]) -> str:
    """Return the name of a network's kernel bridge; empty if it has none."""
    if inspected["Driver"] != "bridge" or inspected.get("ConfigOnly"):
        return ""
    named = (inspected.get("Options") or {}).get(_BRIDGE_NAME)
    return str(named or f"br-{inspected['Id'][:_SHORT]}")


def changed(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Definition) -> list[str]:
    """Return the settings in the new engine that differ from the requested ones."""
    found = []
    sections = (("Config", wanted.body), ("HostConfig", wanted.body["HostConfig"]))
    for section, asked in sections:
        for key, value in before[section].items():
            wish = asked.get(key)
            now = after[section].get(key)
            if key not in ("Image", "Hostname", "Domainname") and (wish or None) != (now or None):
                if section == "Config" and key not in asked:
                    continue
                if isinstance(value, list) and sorted(map(str, wish or ())) == sorted(map(str, now or ())):
                    continue
                found.append(f"{section}.{key}")
    return found


def _renamed(mode: str, names: Names) -> str:
    kind, separator, identity = mode.partition(":")
    if separator and kind == "container":
        return f"container:{names.containers.get(identity, identity)}"
    return names.networks.get(mode, mode)


def _volumes_from(entry: str, names: Names) -> str:
    identity, separator, options = entry.partition(":")
    return names.containers.get(identity, identity) + separator + options


def _legacy_link(link: str) -> str:
    """Convert a link as inspect shows it (``/db:/web/alias``) to the form of a request (``db:alias``)."""
    target, _separator, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rpartition('/')[2]}"


def _volumes(host: dict[str, Any], inspected: Mapping[str, Any], empty: frozenset[str]) -> None:
    """Attach every volume by its name, including names that the engine generated."""
    mounted = {
        mount["Destination"]: mount for mount in inspected.get("Mounts") or () if mount["Type"] == "volume"
    }
    binds = []
    for bind in host.get("Binds") or ():
        source, _separator, rest = str(bind).partition(":")
        target, _separator, options = rest.partition(":")
        mounted.pop(target.rstrip("/") or "/", None)
        if source in empty and "nocopy" not in options.split(","):
            options = f"{options},nocopy" if options else "nocopy"
        binds.append(":".join(filter(None, (source, target, options))))
    for mount in host.get("Mounts") or ():
        attached = mounted.pop(str(mount.get("Target")).rstrip("/"), None)
        if mount.get("Type") == "volume" and attached:
            mount["Source"] = attached["Name"]
            if attached["Name"] in empty:
                mount["VolumeOptions"] = {**(mount.get("VolumeOptions") or {}), "NoCopy": True}
    inherited = host.get("VolumesFrom") or ()
    for target, mount in sorted(mounted.items()):
        if inherited and target not in (inspected["Config"].get("Volumes") or {}):
            continue  # it comes with the other container
        options = ",".join(
            [*([] if mount.get("RW", True) else ["ro"]), *(["nocopy"] if mount["Name"] in empty else [])]
        )
        binds.append(":".join(filter(None, (mount["Name"], target, options))))
    host["Binds"] = binds or None


def _endpoints(inspected: Mapping[str, Any], mode: str, names: Names) -> dict[str, dict[str, Any]]:
    """Return the networks of a container, with the settings that it requested of each."""
    if mode in ("host", "none") or mode.startswith("container:"):
        return {}
    endpoints = {}
    for key, endpoint in (inspected["NetworkSettings"].get("Networks") or {}).items():
        wish = {field: endpoint[field] for field in _ENDPOINT if endpoint.get(field)}
        # Older engines list the short id as an alias, and add the new one themselves.
        short = inspected["Id"][:_SHORT]
        wish["Aliases"] = [alias for alias in wish.get("Aliases", ()) if alias != short]
        if endpoint.get("Links"):
            wish["Links"] = [_legacy_link(link) for link in endpoint["Links"]]
        if key == "bridge":  # the default bridge has no aliases
            wish.pop("Aliases")
        named = names.networks.get(key, key)
        if named == "bridge" and mode in ("default", "bridge"):
            if wish:
                endpoints[mode] = wish
            continue
        endpoints[named] = wish
    return endpoints
