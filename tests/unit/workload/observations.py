"""What a host's program tells of a trial."""

from __future__ import annotations

from typing import Any

IDENTITY = {
    "program": "nginx",
    "uid": 0,
    "gid": 0,
    "groups": [],
    "effective": 1,
    "permitted": 1,
    "inheritable": 0,
    "bounding": 1,
    "ambient": 0,
    "no_new_privileges": True,
    "seccomp_mode": 2,
    "seccomp_filters": 1,
    "lsm": "",
    "phases": [0, 5],
}
REFUSED = {
    "program": "nginx",
    "number": 92,
    "error": 1,
    "kind": 0,
    "runtime": False,
    "by_filter": False,
    "times": 3,
}


def answer(**changes: Any) -> dict[str, Any]:
    """What a host tells of a trial in which all went well."""
    serve = {"name": "serve", "exercised": True, "reason": "connections reached the twin", "seconds": 0.1}
    start = {"name": "start-empty", "exercised": True, "reason": "it started", "seconds": 0.5}
    return {
        "attempts": 20,
        "starts": 20,
        "reached": True,
        "phases": [serve, start],
        "identities": [IDENTITY],
        "listens": [{"protocol": "tcp", "port": 80}],
        "ports": [{"protocol": "tcp", "port": 80, "published": True, "reached": True}],
        "refusals": [REFUSED],
        "missing": [],
        "note": "",
        **changes,
    }
