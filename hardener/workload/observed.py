"""Read the identity of a container from a snapshot, with the axes and the form of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import runtimes

from hardener.checks.lib import fields
from hardener.checks.lib.containers import SOURCE, Container
from hardener.snapshot import FactUnavailable, JSONObject
from hardener.workload.identity import kernel_series

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_NUMBER = "com.docker.compose.container-number"
_ONE_OFF = "com.docker.compose.oneoff"


def identity(container: Container) -> dict[str, Any]:
    """Return the axes of a container, without those that its snapshot lacks.

    Words of the command are as the snapshot has them: what was recognised as a secret is a digest there.

    Raises:
        FactUnavailable: the engine's data about it do not have the expected form.
    """
    config, host = container.config, container.host_config
    return {
        "image digest": fields.text(container.inspect, "Image", SOURCE),
        "user": fields.text(config, "User", SOURCE),
        "entrypoint": _words(config, "Entrypoint"),
        "command": _words(config, "Cmd"),
        "mounts": list(_mounts(container)),
        "network mode": _mode(host, "NetworkMode"),
        "pid mode": _mode(host, "PidMode"),
        "ipc mode": _mode(host, "IpcMode"),
        "userns mode": _mode(host, "UsernsMode"),
        "devices": [str(each.get("PathInContainer")) for each in fields.rows(host, "Devices", SOURCE)],
        "sysctls": {str(key): str(value) for key, value in fields.table(host, "Sysctls", SOURCE).items()},
        "security options": [_option(each) for each in fields.texts(host, "SecurityOpt", SOURCE)],
        "environment": sorted({each.partition("=")[0] for each in fields.texts(config, "Env", SOURCE)}),
        "read only": host.get("ReadonlyRootfs") is True,
        "privileged": container.privileged,
        "capabilities added": sorted(fields.texts(host, "CapAdd", SOURCE)),
        "capabilities dropped": sorted(fields.texts(host, "CapDrop", SOURCE)),
        "published": [
            {"container_port": int(port), "protocol": protocol or "tcp"}
            for port, _, protocol in (
                str(each).partition("/") for each in fields.table(host, "PortBindings", SOURCE)
            )
            if port.isdecimal()
        ],
        **_host(container),
    }


def as_recorded(container: Container) -> dict[str, Any]:
    """Return a container's axes in the form of a recording on this host: the command's words are digests."""
    found = identity(container)
    program = found.pop("entrypoint")[:1]
    del found["command"]
    if container.words is not None:
        words = {key: list(fields.texts(container.words, key, SOURCE)) for key in ("entrypoint", "command")}
        found |= {"entrypoint": [*program, *words["entrypoint"]], "command": words["command"]}
    return found


def place(container: Container) -> tuple[str, ...]:
    """Return the identity that a container keeps when it is recreated: its compose service, else its name."""
    labels = fields.table(container.config, "Labels", SOURCE)
    project, service, number = (labels.get(each) for each in (_PROJECT, _SERVICE, _NUMBER))
    if project and service and str(labels.get(_ONE_OFF)).lower() != "true":
        return "compose", str(project), str(service), str(number or 1)
    return "name", container.name


def _host(container: Container) -> dict[str, Any]:
    snapshot = container.snapshot
    found: dict[str, Any] = {}
    with suppress(FactUnavailable):
        system: JSONObject = snapshot.fact("system")
        found["architecture"] = fields.text(system, "arch", "system")
        found["kernel series"] = kernel_series(fields.text(system, "kernel", "system"))
    with suppress(FactUnavailable):
        versions: JSONObject = snapshot.fact("docker.version")
        found["engine version"] = fields.text(versions, "Version", "docker.version")
        found["runtime"] = _runtime(container, versions)
    with suppress(FactUnavailable):
        options = fields.texts(snapshot.info, "SecurityOptions", "docker.info")
        found["user namespaces"] = any("name=userns" in option for option in options)
    return {name: value for name, value in found.items() if value != ""}


def _runtime(container: Container, versions: JSONObject) -> str:
    default = fields.text(container.snapshot.info, "DefaultRuntime", "docker.info")
    name = fields.text(container.host_config, "Runtime", SOURCE) or default or "runc"
    return f"{name} {runtimes.version(name, container.snapshot.info, versions)}".rstrip()


def _words(config: JSONObject, key: str) -> list[str]:
    value = config.get(key)
    return [value] if isinstance(value, str) else list(fields.texts(config, key, SOURCE))


def _mounts(container: Container) -> Iterator[Mapping[str, Any]]:
    for mount in fields.rows(container.inspect, "Mounts", SOURCE):
        yield {
            "kind": str(mount.get("Type")),
            "target": str(mount.get("Destination")),
            "read_only": mount.get("RW") is False,
        }
    for target, options in fields.table(container.host_config, "Tmpfs", SOURCE).items():
        yield {"kind": "tmpfs", "target": str(target), "read_only": "ro" in str(options).split(",")}


def _mode(host: JSONObject, key: str) -> str:
    """Return the mode of a namespace or network, without the name of another container in it."""
    mode = fields.text(host, key, SOURCE)
    return "container" if mode.startswith("container:") else mode


def _option(option: str) -> str:
    """Return a security option; a seccomp profile as its digest."""
    name, _, value = option.partition("=")
    if name == "seccomp" and value not in {"unconfined", "builtin"}:
        return f"seccomp=sha256:{sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return option
