"""What is mounted in a folder is found, whatever the folder is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.plugins.loading import COLLECTIONS

HOST = "ansible_collections.hardener.docker.plugins.module_utils.host"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("name", ["data root", "new\nline", "tab\there", "back\\slash"])
def test_a_mount_below_a_folder_is_found_by_any_path(tmp_path: Path, name: str) -> None:
    inner = tmp_path / name / "volume"
    inner.mkdir(parents=True)
    program = f"import sys; from {HOST} import mountpoints; print(mountpoints.mounted_below(sys.argv[1]))"
    script = f'mount --bind "$1/volume" "$1/volume" && exec "$2" -c "{program}" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", inner.parent, sys.executable],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{[str(inner)]!r}\n", done.stderr
