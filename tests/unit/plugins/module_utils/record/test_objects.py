"""The objects in the tree are what their sources give."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils import record

FOLDER = Path(record.__file__).with_name("bpf")
OBJECTS = (
    "calls.bpf.o",
    "capabilities_fexit.bpf.o",
    "capabilities_tracepoint.bpf.o",
    "refusals.bpf.o",
)


def test_the_objects_exist_and_are_small() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.o")) == list(OBJECTS)
    for name in OBJECTS:
        content = (FOLDER / name).read_bytes()
        assert content[:5] == b"\x7fELF\2"
        assert int.from_bytes(content[18:20], "little") == 247  # BPF
        assert len(content) < 40_000
        assert b"Dual BSD/GPL" in content
        assert b"/home/" not in content
        assert b"/tmp/" not in content


@pytest.mark.skipif(
    not (shutil.which("clang-19") and shutil.which("bpftool") and Path("/usr/include/bpf").is_dir()),
    reason="needs clang-19, libbpf-dev and bpftool",
)
def test_the_objects_are_reproducible(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(FOLDER), f"OUT={tmp_path}/"], check=True)
    for name in OBJECTS:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: run make bpf"
