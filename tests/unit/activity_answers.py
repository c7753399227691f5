"""What a host answers, as a test needs it."""

from __future__ import annotations

from typing import Any


def entry(**given: Any) -> dict[str, Any]:
    """One entry: a container tried to mount."""
    return {
        "container": "a" * 64,
        "name": "web",
        "image": "nginx",
        "source": "apparmor",
        "kind": "mount",
        "verdict": "denied",
        "class": "mount",
        "severity": "high",
        "attributed_by": "process",
        "count": 3,
        "first": 1795616400.5,
        "last": 1795616424.25,
        "targets": ["/mnt/"],
        "commands": ["mount"],
        "unusual": None,
        **given,
    }


ANSWER: dict[str, Any] = {
    "version": "1",
    "began": 1795616400.0,
    "ended": 1795617000,
    "entries": [entry()],
    "lost": {"overruns": 0, "events": 0, "kernel": 0},
    "deaf": [],
    "blind": ["calls that seccomp refuses with an error leave no record"],
    "elsewhere": 0,
    "record": None,
    "record_problem": "",
}
