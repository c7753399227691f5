"""Folders with a profile, as `hardener workload profile` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hardener.workload.artefacts import artefacts
from hardener.workload.profile import make
from hardener.workload.recording import build
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS
from tests.unit.workload.recordings import document


def write_profile(folder: Path, *, seccomp: Any = DEFAULTS["default"], read: Any = None) -> None:
    """Write the profile of the recording of recordings.py; ``seccomp`` is the engine's default."""
    data = document()
    data["granted"] = {"capabilities": sorted(CAPABILITIES), "seccomp": seccomp}
    data["identities"][0]["bounding"] = sorted(CAPABILITIES)
    data["files"]["read"] = read
    for name, text in artefacts(
        make([("recording.json", build(data, name="recording.json"))]).document
    ).items():
        (folder / name).write_text(text)


def seccomp_option(folder: Path) -> str:
    """The security option that docker and compose make of the seccomp profile."""
    profile = json.loads((folder / "seccomp.json").read_text())
    return f"seccomp={json.dumps(profile, separators=(',', ':'))}"
