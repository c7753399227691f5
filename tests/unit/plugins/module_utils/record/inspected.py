"""What an engine shows of a container, as far as a twin is made of it."""

from __future__ import annotations

import copy
from typing import Any

IDENTITY = "0123456789ab" + "c" * 52
_CONTAINER: dict[str, Any] = {
    "Id": IDENTITY,
    "Name": "/web",
    "Image": "sha256:" + "d" * 64,
    "Config": {
        "Hostname": IDENTITY[:12],
        "User": "33",
        "Env": ["PATH=/usr/bin", "TOKEN=planted-in-the-environment"],
        "Cmd": ["--password", "planted-in-the-command"],
        "Entrypoint": ["/entrypoint", "planted-in-the-entrypoint"],
        "Image": "web:1",
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "own": "x"},
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
    },
    "HostConfig": {
        "NetworkMode": "shop_default",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://logs:514"}},
        "Binds": ["data:/data", "/etc/web:/etc/web:ro"],
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": None,
        "SecurityOpt": ['seccomp={"defaultAction": "SCMP_ACT_ERRNO"}', "no-new-privileges"],
        "Memory": 1 << 30,
        "PidMode": "",
        "IpcMode": "private",
        "UTSMode": "",
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Devices": None,
    },
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/v/data", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/etc/web", "Destination": "/etc/web", "RW": False},
        {"Type": "bind", "Source": "/srv/up", "Destination": "/up", "RW": True},
        {"Type": "bind", "Source": "/run/docker.sock", "Destination": "/run/docker.sock", "RW": False},
    ],
}


def container(**host: Any) -> dict[str, Any]:
    """A copy of it; ``host`` are other values of its HostConfig."""
    found = copy.deepcopy(_CONTAINER)
    found["HostConfig"].update(host)
    return found
