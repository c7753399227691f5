"""Former versions, from this repository's history: 0.1.0, before it became a collection, and 0.2.0."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.play import Edition
from tests.hosts.workload import DAEMON_JSON

_ROOT = Path(__file__).parents[2]
_COMMITS = {
    "0.1.0": "7906ec4f59e8f37e563cb892b58cc139abe4362a",
    "0.2.0": "739e8ccf86545018c31956588d17c90b59212de4",
}
_PARTS = ("hardener", "playbooks", "roles")
_COLLECTION = (".collections", "galaxy.yml", "meta", "plugins")

# What the renderers of 0.1.0 say of the engine in their documents: a run finds it itself since.
_ENGINE = {
    "config": DAEMON_JSON,
    "dockerd": "/usr/sbin/dockerd",
    "argv": ["/usr/sbin/dockerd", "-H", "fd://"],
    "flags": {"host": ["fd://"]},
    "socket": "/run/docker.sock",
    "unit": "docker.service",
}


class Former:
    """The command line and the roles of a version, in a folder of their own."""

    def __init__(self, version: str, folder: Path) -> None:
        parts = _PARTS if version == "0.1.0" else (*_PARTS, *_COLLECTION)
        command = ("git", "-C", str(_ROOT), "archive", "--format=tar", _COMMITS[version], *parts)
        archive = subprocess.run(command, capture_output=True, check=False)
        if archive.returncode:
            pytest.fail(
                f"{version} is not in this clone: fetch the whole history by `git fetch --unshallow`"
                f" ({archive.stderr.decode(errors='replace').strip()})"
            )
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        self.folder = folder
        self.version = version
        self.edition = Edition("", {"ANSIBLE_ROLES_PATH": str(folder / "roles")})
        if version != "0.1.0":
            path = {"ANSIBLE_COLLECTIONS_PATH": str(folder / ".collections")}
            self.edition = Edition("hardener.docker.", path)

    def document(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a document as this version understands it."""
        if self.version != "0.1.0":
            return document
        activations = [
            {**each, **_ENGINE} if each["name"] == "docker" else each for each in document["activations"]
        ]
        return {**document, "activations": activations}

    def hardener(self, verb: str, inventory: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Run one command on the hosts of an inventory."""
        return subprocess.run(
            [sys.executable, "-m", "hardener", verb, "-i", inventory, *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            timeout=3600,
        )
