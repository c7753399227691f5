"""Recordings of a container under the engine's default, and profiles that are made of them."""

from __future__ import annotations

import json
from typing import Any

from hardener.workload.artefacts import artefacts
from hardener.workload.profile import Profile, make
from hardener.workload.profile_document import SeccompPart
from hardener.workload.recording import build
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS
from tests.unit.workload.recordings import document


def recorded(**changes: Any) -> dict[str, Any]:
    """A recording of a container under the engine's default; ``a__b=c`` changes what is nested."""
    data = document()
    data["granted"] = {"capabilities": sorted(CAPABILITIES), "seccomp": DEFAULTS["default"]}
    data["identities"][0]["bounding"] = sorted(CAPABILITIES)
    for key, value in changes.items():
        place = data
        *path, last = key.split("__")
        for step in path:
            place = place[step]
        place[last] = value
    return data


def profile(*recordings: dict[str, Any], **options: Any) -> Profile:
    named = [(f"{number}.json", build(each, name="x")) for number, each in enumerate(recordings)]
    return make(named, **options)


def calls(*names: str) -> dict[str, Any]:
    return {"x86_64": {name: {"phases": ["serve"], "programs": ["web"]} for name in names}}


def permitted(found: Profile) -> set[str]:
    """The calls that are permitted for a reason of their own."""
    return {name for name, why in part(found).calls.items() if not why.no_more_than}


def part(found: Profile) -> SeccompPart:
    """The seccomp profile."""
    assert found.document.seccomp is not None
    return found.document.seccomp


def seccomp(found: Profile) -> Any:
    """The seccomp profile in Docker's form."""
    return json.loads(artefacts(found.document)["seccomp.json"])


def owned(**changes: Any) -> dict[str, Any]:
    """Root that works on the files of redis."""
    uses = [{"name": "CAP_DAC_OVERRIDE", "call": "openat", "program": "redis", "phases": ["serve"]}]
    owners = {
        "/data": {"uid": 999, "gid": 998, "mode": 0o755},
        "/data/dump.rdb": {"uid": 999, "gid": 998, "mode": 0o644},
    }
    files: dict[str, Any] = {"created": [], "written": ["/data/dump.rdb"], "deleted": []}
    files |= {"executed": ["/redis"], "read": None, "used_by": None, "owners": owners}
    data = recorded(capabilities=uses, files=files, calls=calls("read", "chown"))
    data["container"]["mounts"] = [{"kind": "volume", "target": "/data", "read_only": False}]
    for key, value in changes.items():
        if key == "owners":
            data["files"]["owners"].update(value)
        elif key == "created":
            data["files"]["created"] = value
        else:
            data[key] = value
    return data
