"""hardener 0.1.0, from this repository's history: its last state before it became a collection."""

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
_COMMIT = "7906ec4f59e8f37e563cb892b58cc139abe4362a"
_PARTS = ("hardener", "playbooks", "roles")


# What the renderers of 0.1.0 say of the engine in their documents: a run finds it itself since.
_ENGINE = {
    "config": DAEMON_JSON,
    "dockerd": "/usr/sbin/dockerd",
    "argv": ["/usr/sbin/dockerd", "-H", "fd://"],
    "flags": {"host": ["fd://"]},
    "socket": "/run/docker.sock",
    "unit": "docker.service",
}


def former_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as 0.1.0 understands it."""
    activations = [
        {**each, **_ENGINE} if each["name"] == "docker" else each for each in document["activations"]
    ]
    return {**document, "activations": activations}


class Former:
    """Its command line and its roles, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        command = ("git", "-C", str(_ROOT), "archive", "--format=tar", _COMMIT, *_PARTS)
        archive = subprocess.run(command, capture_output=True, check=False)
        if archive.returncode:
            pytest.fail(
                f"0.1.0 is not in this clone: fetch the whole history by `git fetch --unshallow`"
                f" ({archive.stderr.decode(errors='replace').strip()})"
            )
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        self.folder = folder
        self.edition = Edition("", {"ANSIBLE_ROLES_PATH": str(folder / "roles")})

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
