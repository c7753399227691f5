"""Folders with the files of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hardener.workload.artefacts import artefacts
from hardener.workload.profile import make
from hardener.workload.recording import Recording, build
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS
from tests.unit.workload.recordings import document

ROOT = "sha256:" + "0" * 64


def write(folder: Path, *, allow_extra: tuple[str, ...] = (), **changes: Any) -> Path:
    """The files of a profile of a server that keeps two capabilities."""
    made = make([("x", recorded(**changes))], allow_extra=allow_extra)
    for name, text in artefacts(made.document).items():
        (folder / name).write_text(text)
    return folder


def recorded(**changes: Any) -> Recording:
    """The recording of this server."""
    data = document()
    data["granted"] = {"capabilities": sorted(CAPABILITIES), "seccomp": DEFAULTS["default"]}
    data["identities"][0]["bounding"] = sorted(CAPABILITIES)
    data["capabilities"] = [
        {"name": name, "call": "setuid", "program": "nginx", "phases": ["start-empty"]}
        for name in ("CAP_SETUID", "CAP_CHOWN")
    ]
    data["calls"] = {
        "x86_64": {
            "bind": {"phases": ["start-empty"], "programs": ["nginx"]},
            "openat": {"phases": ["start-empty", "serve"], "programs": ["nginx"]},
            "sendfile": {"phases": ["serve"], "programs": ["nginx"]},
            "keyctl": {"phases": ["serve"], "programs": ["nginx"]},
            "write": {"phases": ["serve"], "programs": ["nginx"]},
        }
    }
    data["runtime_base"] = {"calls": ["write"], "no_new_privileges": ["write"], "starts": 20}
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            data[part][name] = value
        else:
            data[part] = value
    return build(data, name="x")
