"""A whole recording for tests, as a host answers it."""

from __future__ import annotations

import copy
from typing import Any

_DOCUMENT: dict[str, Any] = {
    "format": "hardener.recording/2",
    "hardener": "0.2.0",
    "began": "2026-11-27T09:00:00Z",
    "ended": "2026-11-27T09:01:00Z",
    "host": {
        "kernel": "6.12.101",
        "architecture": "x86_64",
        "engine": "26.1.5",
        "runtime": {"name": "runc", "version": "1.1.15+ds1"},
        "lsm": ["apparmor", "capability"],
        "userns_remap": False,
    },
    "container": {
        "name": "web",
        "image": "nginx:1",
        "digest": "sha256:" + "a" * 64,
        "user": "",
        "entrypoint": ["/entrypoint.sh"],
        "command": ["hmac:0123456789abcdef"],
        "mounts": [{"kind": "volume", "target": "/var/lib/data", "read_only": False}],
        "network_mode": "bridge",
        "pid_mode": "",
        "ipc_mode": "private",
        "userns_mode": "",
        "devices": [],
        "sysctls": {},
        "security_options": [],
        "environment": ["PATH"],
        "read_only": False,
        "privileged": False,
        "capabilities_added": [],
        "capabilities_dropped": [],
        "published": [{"container_port": 80, "protocol": "tcp"}],
        "compose": None,
    },
    "twin": {"network": "own"},
    "recorder": {"complete": True, "missing": []},
    "phases": [
        {"name": "start-empty", "exercised": True, "reason": "a first start", "seconds": 2.5},
        {"name": "reload", "exercised": False, "reason": "the image declares no way", "seconds": 0.0},
    ],
    "calls": {"x86_64": {"openat": {"phases": ["start-empty"], "programs": ["nginx"]}}},
    "runtime_calls": {"execve": {"phases": ["start-empty"]}},
    "runtime_base": {"calls": ["close", "execve"], "no_new_privileges": ["close", "execve"], "starts": 20},
    "capabilities": [
        {"name": "CAP_CHOWN", "call": "chown", "program": "nginx", "phases": ["start-empty"]},
    ],
    "file_capabilities": [],
    "capset": [],
    "setuid": [],
    "identities": [
        {
            "program": "nginx",
            "uid": 0,
            "gid": 0,
            "groups": [0],
            "effective": ["CAP_CHOWN"],
            "permitted": ["CAP_CHOWN"],
            "inheritable": [],
            "bounding": ["CAP_CHOWN"],
            "ambient": [],
            "no_new_privileges": False,
            "seccomp_mode": 2,
            "seccomp_filters": 1,
            "lsm": "docker-default (enforce)",
            "phases": ["start-empty"],
        }
    ],
    "files": {
        "written": [],
        "created": ["/run/nginx.pid"],
        "deleted": [],
        "executed": ["/usr/sbin/nginx"],
        "read": None,
        "used_by": {"/run/nginx.pid": {"phases": ["start-empty"], "programs": ["nginx"]}},
    },
    "network": {
        "families": {"AF_INET": {"phases": ["start-empty"], "programs": ["nginx"]}},
        "listens": [{"protocol": "tcp", "port": 80}],
        "ports": [{"protocol": "tcp", "port": 80, "published": True, "reached": True}],
        "connects": False,
    },
    "granted": {
        "capabilities": ["CAP_CHOWN"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["openat"], "action": "SCMP_ACT_ALLOW"},
                {
                    "names": ["socket"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}],
                },
            ],
        },
    },
    "peak": {"pids": 3, "memory_bytes": 4096},
    "pids_limit": None,
}


def document() -> dict[str, Any]:
    """A new copy of it."""
    return copy.deepcopy(_DOCUMENT)
