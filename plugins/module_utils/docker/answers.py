"""Check the required fields of the Docker engine's answers: an answer without them is an error.

An empty object would read like an engine without insecure registries, swarm and containers. So every field
that is read must be present, with its type. The table lists what API 1.41 (Docker 20.10) to 1.51 (Docker 28
and 29) always send, also if it is empty, as far as it is read; some send `null` for an empty list or object.
"""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any, Union

    Shape = Union[str, Mapping[str, Any]]

TEXT, NUMBER, FLAG, OBJECT, LIST = "a text", "a number", "true or false", "an object", "a list"
_OR_NULL = " or null"
OBJECT_OR_NULL, LIST_OR_NULL, NUMBER_OR_NULL = OBJECT + _OR_NULL, LIST + _OR_NULL, NUMBER + _OR_NULL
EACH = "*"  # in place of a field: what each entry of a list has; a list that may be null

_KINDS: Mapping[str, Any] = {TEXT: str, NUMBER: (int, float), FLAG: bool, OBJECT: dict, LIST: list}

_CONTAINER: Mapping[str, Shape] = {
    "Id": TEXT,
    "Name": TEXT,
    "Image": TEXT,
    "Path": TEXT,
    "Args": LIST_OR_NULL,
    "AppArmorProfile": TEXT,
    "ProcessLabel": TEXT,
    "ExecIDs": LIST_OR_NULL,
    "Mounts": LIST_OR_NULL,
    "RestartCount": NUMBER,
    "State": {"Running": FLAG, "Restarting": FLAG, "Pid": NUMBER, "ExitCode": NUMBER},
    "Config": {"Image": TEXT, "User": TEXT, "Env": LIST_OR_NULL, "Labels": OBJECT_OR_NULL},
    "HostConfig": {
        "Privileged": FLAG,
        "ReadonlyRootfs": FLAG,
        "PublishAllPorts": FLAG,
        "NetworkMode": TEXT,
        "PidMode": TEXT,
        "IpcMode": TEXT,
        "UTSMode": TEXT,
        "UsernsMode": TEXT,
        "CgroupParent": TEXT,
        "CapAdd": LIST_OR_NULL,
        "CapDrop": LIST_OR_NULL,
        "SecurityOpt": LIST_OR_NULL,
        "Binds": LIST_OR_NULL,
        "Devices": LIST_OR_NULL,
        "PortBindings": OBJECT_OR_NULL,
        "RestartPolicy": OBJECT,
        "LogConfig": OBJECT,
        "Memory": NUMBER,
        "NanoCpus": NUMBER,
        "CpuShares": NUMBER,
        "PidsLimit": NUMBER_OR_NULL,
    },
    "NetworkSettings": {"Networks": OBJECT_OR_NULL, "Ports": OBJECT_OR_NULL},
}
_NETWORK: Mapping[str, Shape] = {
    "Id": TEXT,
    "Name": TEXT,
    "Driver": TEXT,
    "Scope": TEXT,
    "Options": OBJECT_OR_NULL,
}

SHAPES: Mapping[str, Shape] = {
    "/version": {"Version": TEXT, "ApiVersion": TEXT},
    "/info": {
        "ServerVersion": TEXT,
        "Driver": TEXT,
        "DriverStatus": LIST_OR_NULL,
        "DockerRootDir": TEXT,
        "LoggingDriver": TEXT,
        "CgroupDriver": TEXT,
        "SecurityOptions": LIST_OR_NULL,
        "RegistryConfig": OBJECT,
        "Swarm": {"LocalNodeState": TEXT, "ControlAvailable": FLAG},
        "Runtimes": OBJECT_OR_NULL,
        "Debug": FLAG,
        "ExperimentalBuild": FLAG,
        "LiveRestoreEnabled": FLAG,
        "MemoryLimit": FLAG,
        "CpuCfsQuota": FLAG,
        "CPUShares": FLAG,
        "PidsLimit": FLAG,
        "Images": NUMBER,
        "Containers": NUMBER,
        "ContainersRunning": NUMBER,
        "ContainersPaused": NUMBER,
    },
    "/containers/json": {EACH: {"Id": TEXT}},
    "/containers/{id}/json": _CONTAINER,
    "/images/json": {EACH: {"Id": TEXT}},
    "/images/{id}/json": {
        "Id": TEXT,
        "Config": OBJECT_OR_NULL,
        "RepoTags": LIST_OR_NULL,
        "RepoDigests": LIST_OR_NULL,
        "Size": NUMBER,
    },
    "/images/{id}/history": {EACH: {"Id": TEXT, "CreatedBy": TEXT, "Comment": TEXT}},
    "/networks": {EACH: {"Id": TEXT}},
    "/networks/{id}": _NETWORK,
    "/volumes": {"Volumes": {EACH: {"Name": TEXT, "Driver": TEXT, "Mountpoint": TEXT}}},
    "/plugins": {EACH: {"Name": TEXT, "Enabled": FLAG, "Config": OBJECT}},
    "/swarm": {"ID": TEXT, "Spec": {"EncryptionConfig": {"AutoLockManagers": FLAG}, "CAConfig": OBJECT}},
    "/nodes": {EACH: {"ID": TEXT, "Spec": OBJECT, "Status": OBJECT}},
    "/services": {EACH: {"ID": TEXT, "Spec": OBJECT}},
    "/secrets": {EACH: {"ID": TEXT, "Spec": OBJECT}},
}


class Incomplete(Exception):  # noqa: N818 - a state of the world, not a defect
    """An answer lacks a field that every engine sends."""


def endpoint(path: str) -> str:
    """Return the key of ``SHAPES`` for a path without a version; empty if there is none.

    ``/containers/3f0e/json?size=1`` is ``/containers/{id}/json``.
    """
    plain = path.partition("?")[0]
    if plain in SHAPES:
        return plain
    kind, _separator, rest = plain[1:].partition("/")
    _identity, slash, what = rest.partition("/")
    general = f"/{kind}/{{id}}{slash}{what}"
    return general if general in SHAPES else ""


def complete(endpoint: str, answer: Any) -> Any:
    """Return an answer after checking its required fields.

    Args:
        endpoint: a key of ``SHAPES``.
        answer: the parsed JSON.

    Raises:
        Incomplete: a field is missing or has the wrong type; the message names it and the endpoint.
    """
    _check(endpoint, "", SHAPES[endpoint], answer)
    return answer


def _check(endpoint: str, place: str, shape: Shape, value: Any) -> None:
    if isinstance(shape, str):
        wanted = shape[: -len(_OR_NULL)] if shape.endswith(_OR_NULL) else shape
        if value is None and wanted != shape:
            return
        # A boolean is a number in Python, but not to the engine.
        if isinstance(value, _KINDS[wanted]) and (wanted == FLAG or not isinstance(value, bool)):
            return
        raise _type_error(endpoint, place, shape)
    if EACH in shape:
        if value is None:
            return
        if not isinstance(value, list):
            raise _type_error(endpoint, place, LIST)
        for entry in value:
            _check(endpoint, f"{place}[]", shape[EACH], entry)
        return
    if not isinstance(value, dict):
        raise _type_error(endpoint, place, OBJECT)
    for key, inner in shape.items():
        name = f"{place}.{key}" if place else key
        if key not in value:
            raise Incomplete(
                f"the engine's answer to {endpoint} has no {name}: this is not an answer of a Docker engine"
            )
        _check(endpoint, name, inner, value[key])


def _type_error(endpoint: str, place: str, kind: str) -> Incomplete:
    what = f"{place} in the engine's answer to {endpoint}" if place else f"the engine's answer to {endpoint}"
    return Incomplete(f"{what} is not {kind}: this is not an answer of a Docker engine")
