"""From what an engine shows of a container or a network to the request that makes the same one again."""

from __future__ import annotations

import copy
from typing import Any, Mapping, NamedTuple

PREDEFINED = frozenset({"bridge", "host", "none"})
_BRIDGE_NAME = "com.docker.network.bridge.name"
# What an endpoint is asked for; all else that inspect shows of it is what it happens to have.
_ENDPOINT = ("IPAMConfig", "Aliases", "DriverOpts", "GwPriority")
_SHORT = 12


class Names(NamedTuple):
    """What the new engine calls things: ids are new, names stay."""

    containers: Mapping[str, str]  # old id -> name
    networks: Mapping[str, str]  # old id -> name


class Definition(NamedTuple):
    """How to make a container."""

    name: str
    body: dict[str, Any]
    networks: list[tuple[str, dict[str, Any]]]  # to be connected to once it is made


def container(
    inspected: Mapping[str, Any],
    image: Mapping[str, Any],
    names: Names,
    *,
    host_userns: bool,
    empty: frozenset[str] = frozenset(),
) -> Definition:
    """The request that makes a container again.

    Args:
        inspected: what the old engine shows of it.
        image: what the new one shows of its image.
        names: see there.
        host_userns: it is to stay in the host's user namespace.
        empty: names of volumes that hold nothing, and shall not be filled from the image.
    """
    config: dict[str, Any] = copy.deepcopy(dict(inspected["Config"]))
    host: dict[str, Any] = copy.deepcopy(dict(inspected["HostConfig"]))
    if not config.get("Entrypoint") and (image.get("Config") or {}).get("Entrypoint"):
        config["Entrypoint"] = []  # a wish; what is missing would be taken from the image
    if config.get("Image") not in (image.get("RepoTags") or ()):
        config["Image"] = inspected["Image"]  # by a digest, or a tag that is another image's by now
    if host_userns:
        host["UsernsMode"] = "host"
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        host[mode] = _renamed(host.get(mode) or "", names)
    host["VolumesFrom"] = [_volumes_from(entry, names) for entry in host.get("VolumesFrom") or ()] or None
    host["Links"] = [_legacy_link(link) for link in host.get("Links") or ()] or None
    _volumes(host, inspected, empty)
    mode = host["NetworkMode"]
    if mode.startswith("container:"):  # the other one's: the engine refuses to hear them again
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
    """Ids and names of containers that have to be there before this one."""
    host = inspected["HostConfig"]
    modes = [str(host.get(mode) or "") for mode in ("NetworkMode", "PidMode", "IpcMode")]
    found = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
    found += [str(entry).partition(":")[0] for entry in host.get("VolumesFrom") or ()]
    return found + [str(link).partition(":")[0].lstrip("/") for link in host.get("Links") or ()]


def network(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """The request that makes a network again: the same addresses, and the same bridge in the kernel.

    Rules that name the bridge go on to be true, the engine's own of before and those of other people.
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
    """Name of a network's bridge in the kernel; empty where it has none."""
    if inspected["Driver"] != "bridge" or inspected.get("ConfigOnly"):
        return ""
    named = (inspected.get("Options") or {}).get(_BRIDGE_NAME)
    return str(named or f"br-{inspected['Id'][:_SHORT]}")


def changed(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Definition) -> list[str]:
    """Which settings the new engine shows otherwise than was asked for, in words."""
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
    """``/db:/web/alias`` as it is shown, ``db:alias`` as it is asked for."""
    target, _separator, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rpartition('/')[2]}"


def _volumes(host: dict[str, Any], inspected: Mapping[str, Any], empty: frozenset[str]) -> None:
    """Attach every volume by its name: also those that have none but the one the engine made up."""
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
    """Networks of a container, with what it asked each of them for."""
    if mode in ("host", "none") or mode.startswith("container:"):
        return {}
    endpoints = {}
    for key, endpoint in (inspected["NetworkSettings"].get("Networks") or {}).items():
        wish = {field: endpoint[field] for field in _ENDPOINT if endpoint.get(field)}
        short = inspected["Id"][:_SHORT]  # older engines list it as an alias, and give the new one its own
        wish["Aliases"] = [alias for alias in wish.get("Aliases", ()) if alias != short]
        if endpoint.get("Links"):
            wish["Links"] = [_legacy_link(link) for link in endpoint["Links"]]
        if key == "bridge":  # the default one knows no names
            wish.pop("Aliases")
        named = names.networks.get(key, key)
        if named == "bridge" and mode in ("default", "bridge"):
            if wish:
                endpoints[mode] = wish
            continue
        endpoints[named] = wish
    return endpoints
