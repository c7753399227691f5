"""The BPF objects of the recorder are what their sources give."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils import record

FOLDER = Path(record.__file__).with_name("bpf")


def test_the_bpf_objects_are_reproducible(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(FOLDER), f"OUT={tmp_path}/"], check=True)
    for kept in sorted(FOLDER.glob("*.o")):
        assert (tmp_path / kept.name).read_bytes() == kept.read_bytes(), f"{kept.name}: run make bpf"
