"""What tests of recordings and proofs look at: the kernel's programs, a run's process, what an engine has."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils.record import workspace

from tests.integration.dockerd import Dockerd
from tests.unit.plugins.loading import COLLECTIONS

ROOT = Path(__file__).parents[2]
BESIDE = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}


def programs(*ours: str) -> set[int]:
    """The programs with these names that the kernel has; without any, those of recordings."""
    text = subprocess.run(
        ["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True
    ).stdout
    wanted = ours or ("on_call", "on_exec", "on_check")
    return {each["id"] for each in json.loads(text) if each.get("name") in wanted}


def worker(run: str) -> int:
    """The process that holds a run's lock."""
    lock = f"{workspace.FOLDER}/{run}/lock"
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == lock:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError("nothing holds the lock")


def names(engine: Dockerd) -> set[str]:
    """Everything that the engine has."""
    found = {each["Names"][0] for each in engine.api("GET", "/containers/json?all=1")}
    found |= {each["Name"] for each in engine.api("GET", "/networks")}
    found |= {each["Name"] for each in engine.api("GET", "/volumes")["Volumes"] or ()}
    for each in engine.api("GET", "/images/json?all=1"):
        found |= set(each["RepoTags"] or [each["Id"]])
    return found
