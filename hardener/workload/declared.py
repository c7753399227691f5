"""Translate the services of a compose project into the containers that docker compose would create.

The result is a snapshot of a host with AppArmor, an engine with default settings and these containers: the
checks of an audit judge it. Only what they read is translated. Sources that a compose file does not tell,
such as images, are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import seccomp_rules

from hardener.checks.lib.containers import DECLARED
from hardener.errors import HardenerError
from hardener.snapshot import SCHEMA, Snapshot

Service = Mapping[str, Any]
_DEFAULT_NETWORK = "default"
_SOCKET = "/var/run/docker.sock"
_RESTART_CONDITIONS = {"any": "always", "none": "no"}
# An engine with default settings, which remaps users: a person decides that where no service opts out.
_ENGINE: Mapping[str, Any] = {
    "engine": {
        "installed": True,
        "sockets": [],
        "sockets_error": None,
    },
    "docker.info": {
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns", "name=userns"],
        "DockerRootDir": "/var/lib/docker",
        "CgroupDriver": "systemd",
        "Swarm": {"LocalNodeState": "inactive"},
        **dict.fromkeys(("MemoryLimit", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"), True),
    },
    "docker.version": {"Version": "28.0.0"},
    "docker.networks": [],
    "docker.swarm": {"services": []},
    "daemon.config": {"declared": {}, "conflicts": [], "error": None},
    "lsm": {
        "apparmor": {"enabled": True, "profiles": {"docker-default": "enforce"}},
        "selinux": {"enabled": False},
        "seccomp": True,
    },
    "sysctl": {},
    "files": {},
}


def snapshot(project: Mapping[str, Any], read: Callable[[str], str], *, host: str) -> Snapshot:
    """Return the snapshot of a host with the first container of each service, in the order of their names.

    Args:
        project: the output of ``docker compose config --format json``.
        read: returns the content of a file that a service names, such as a seccomp profile.
        host: the name of the host.

    Raises:
        HardenerError: such a file cannot be read, or the project has an unknown form.
    """
    try:
        inspected = [
            _container(project, name, each, read) for name, each in sorted(project["services"].items())
        ]
        volumes = [
            {"Name": each.get("name") or name, "Driver": "local", "Options": each.get("driver_opts")}
            for name, each in (project.get("volumes") or {}).items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HardenerError(
            "this version of docker compose prints the project in an unknown form",
            hint="use docker compose 2.20 or newer",
        ) from error
    data = {
        **_ENGINE,
        "docker.containers": [{"inspect": each, "proc": None, **_seccomp(each)} for each in inspected],
        "docker.volumes": volumes,
    }
    sources = {name: {"state": "ok", "ms": 0, "data": each} for name, each in data.items()}
    return Snapshot({"schema": SCHEMA, "host": host, "collected_at": "", "sources": sources})


def _seccomp(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the collector says of a container's own seccomp profile."""
    options = [each for each in inspected["HostConfig"]["SecurityOpt"] if each.startswith("seccomp=")]
    profile = seccomp_rules.declared(options[-1].partition("=")[2]) if options else None
    return {"seccomp": profile} if profile else {}


def container_name(project: Mapping[str, Any], service: str) -> str:
    """Return the name that docker compose gives the first container of a service."""
    return project["services"][service].get("container_name") or f"{project['name']}-{service}-1"


def _container(
    project: Mapping[str, Any], name: str, service: Service, read: Callable[[str], str]
) -> dict[str, Any]:
    mounts = list(_mounts(project, service))
    command = [*_list(service, "entrypoint"), *_list(service, "command")]
    return {
        "Id": _id(name),
        "Name": f"/{container_name(project, name)}",
        "Image": "",
        "Path": command[0] if command else "",
        "Args": command[1:],
        "State": {"Status": DECLARED, "Running": False},
        "RestartCount": 0,
        "Config": {
            "User": service.get("user") or "",
            "Image": service.get("image") or f"{project['name']}-{name}",
            "Env": [f"{key}={value}" for key, value in (service.get("environment") or {}).items()],
            "Labels": dict(service.get("labels") or {}),
            "Healthcheck": _healthcheck(service),
            "ExposedPorts": {_port(each): {} for each in _list(service, "ports")},
        },
        "HostConfig": _host_config(project, service, read),
        "Mounts": mounts,
        "NetworkSettings": {"Ports": {}, "Networks": {each: {} for each in _networks(project, service)}},
        "ExecIDs": None,
    }


def _host_config(project: Mapping[str, Any], service: Service, read: Callable[[str], str]) -> dict[str, Any]:
    limits = _resources(service, "limits")
    quota = limits.get("cpus") or service.get("cpus") or 0
    return {
        "Privileged": bool(service.get("privileged")),
        "CapAdd": _list(service, "cap_add"),
        "CapDrop": _list(service, "cap_drop"),
        "SecurityOpt": _security_options(service, read),
        "ReadonlyRootfs": bool(service.get("read_only")),
        "NetworkMode": _mode(service.get("network_mode")) or next(_networks(project, service), ""),
        "PidMode": _mode(service.get("pid")),
        "IpcMode": _mode(service.get("ipc")) or "private",
        "UTSMode": _mode(service.get("uts")),
        "UsernsMode": service.get("userns_mode") or "",
        "CgroupnsMode": service.get("cgroup") or "private",
        "CgroupParent": service.get("cgroup_parent") or "",
        "Memory": int(limits.get("memory") or service.get("mem_limit") or 0),
        "NanoCpus": round(float(quota) * 1e9),
        "CpuQuota": int(service.get("cpu_quota") or 0),
        "CpuPeriod": int(service.get("cpu_period") or 0),
        "CpuShares": int(service.get("cpu_shares") or 0),
        "CpusetCpus": service.get("cpuset") or "",
        "PidsLimit": int(limits.get("pids") or service.get("pids_limit") or 0) or None,
        "Ulimits": [_ulimit(name, each) for name, each in (service.get("ulimits") or {}).items()],
        "Sysctls": dict(service.get("sysctls") or {}),
        "Tmpfs": {each.partition(":")[0]: each.partition(":")[2] for each in _list(service, "tmpfs")},
        "Devices": [_device(each) for each in _list(service, "devices")],
        "DeviceCgroupRules": _list(service, "device_cgroup_rules"),
        "DeviceRequests": list(_device_requests(service)),
        "RestartPolicy": _restart_policy(service),
        "PortBindings": _bindings(service),
        "PublishAllPorts": False,
        "Runtime": service.get("runtime") or "",
        "MaskedPaths": None,
        "ReadonlyPaths": None,
        "GroupAdd": _list(service, "group_add"),
        "Mounts": [],
    }


def _resources(service: Service, kind: str) -> Mapping[str, Any]:
    return ((service.get("deploy") or {}).get("resources") or {}).get(kind) or {}


def _device(declared: str | Mapping[str, str]) -> dict[str, str]:
    if isinstance(declared, str):
        source, target, permissions, *_ = [*declared.split(":"), "", ""]
    else:
        source, target, permissions = (declared.get(key, "") for key in ("source", "target", "permissions"))
    return {
        "PathOnHost": source,
        "PathInContainer": target or source,
        "CgroupPermissions": permissions or "rwm",
    }


def _device_requests(service: Service) -> Iterator[dict[str, Any]]:
    for each in (*_list(_resources(service, "reservations"), "devices"), *_list(service, "gpus")):
        count = each.get("count") or 0
        yield {
            "Driver": each.get("driver") or "",
            "Count": -1 if count == "all" else int(count),
            "DeviceIDs": _list(each, "device_ids"),
            "Capabilities": [_list(each, "capabilities")],
        }


def _restart_policy(service: Service) -> dict[str, Any]:
    declared = (service.get("deploy") or {}).get("restart_policy")
    if declared is None:
        policy, _, retries = str(service.get("restart") or "no").partition(":")
    else:
        condition = declared.get("condition") or "no"
        policy, retries = _RESTART_CONDITIONS.get(condition, condition), declared.get("max_attempts")
    return {"Name": policy, "MaximumRetryCount": int(retries or 0)}


def _list(service: Service, key: str) -> list[Any]:
    return list(service.get(key) or ())


def _id(service: str) -> str:
    return hashlib.sha256(service.encode()).hexdigest()


def _mode(declared: str | None) -> str:
    """Return the mode of a namespace; another service's is that of its container."""
    kind, _, service = (declared or "").partition(":")
    return f"container:{_id(service)}" if kind == "service" else declared or ""


def _networks(project: Mapping[str, Any], service: Service) -> Iterator[str]:
    mode = service.get("network_mode")
    if mode in ("bridge", "host", "none"):
        yield mode
    elif not mode:
        known = project.get("networks") or {}
        for name in service.get("networks") or {_DEFAULT_NETWORK: None}:
            yield (known.get(name) or {}).get("name") or f"{project['name']}_{name}"


def _mounts(project: Mapping[str, Any], service: Service) -> Iterator[dict[str, Any]]:
    known = project.get("volumes") or {}
    for each in _list(service, "volumes"):
        kind, source = each["type"], each.get("source") or ""
        if kind == "bind":
            propagation = (each.get("bind") or {}).get("propagation")
            yield _bind(source, each["target"], writable=not each.get("read_only"), propagation=propagation)
        elif kind != "tmpfs":
            yield {
                **_bind("", each["target"], writable=not each.get("read_only")),
                "Type": kind,
                "Name": (known.get(source) or {}).get("name") or source if kind == "volume" else "",
            }
    for key, folder in (("secrets", "/run/secrets"), ("configs", "/")):
        for each in _list(service, key):
            name = each["source"]
            file = ((project.get(key) or {}).get(name) or {}).get("file")
            if file:
                yield _bind(file, str(PurePosixPath(folder, each.get("target") or name)), writable=False)
    if service.get("use_api_socket"):
        yield _bind(_SOCKET, _SOCKET, writable=True)
    for each in _list(service, "volumes_from"):
        other = project["services"].get(each.partition(":")[0])
        if other:
            yield from _mounts(project, other)


def _bind(source: str, target: str, *, writable: bool, propagation: str | None = None) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": source,
        "Name": "",
        "Destination": target,
        "Mode": "",
        "RW": writable,
        "Propagation": propagation or "rprivate",
    }


def _bindings(service: Service) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for each in _list(service, "ports"):
        binding = {"HostIp": each.get("host_ip") or "", "HostPort": str(each.get("published") or "")}
        found.setdefault(_port(each), []).append(binding)
    return dict(sorted(found.items()))


def _port(declared: Mapping[str, Any]) -> str:
    return f"{declared['target']}/{declared.get('protocol') or 'tcp'}"


def _healthcheck(service: Service) -> dict[str, Any] | None:
    declared = service.get("healthcheck")
    if not declared:
        return None
    return {"Test": ["NONE"] if declared.get("disable") else _list(declared, "test")}


def _ulimit(name: str, declared: int | Mapping[str, int]) -> dict[str, Any]:
    soft, hard = (declared["soft"], declared["hard"]) if isinstance(declared, Mapping) else (declared,) * 2
    return {"Name": name, "Soft": soft, "Hard": hard}


def _security_options(service: Service, read: Callable[[str], str]) -> list[str]:
    """Return the options as the client sends them, and the one that the engine adds."""
    options = [_security_option(each, read) for each in _list(service, "security_opt")]
    unlabelled = service.get("privileged") or "host" in (service.get("pid"), service.get("ipc"))
    if unlabelled and not any(each.startswith("label") for each in options):
        options.append("label=disable")
    return options


def _security_option(option: str, read: Callable[[str], str]) -> str:
    """Return an option as the client sends it: a seccomp profile by its content."""
    key, _, value = option.partition("=" if "=" in option else ":")
    if key == "seccomp" and value not in ("unconfined", "builtin"):
        return f"seccomp={read(value)}"
    return option
