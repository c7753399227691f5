"""The idle program runs and waits; its image holds nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import elf


def test_the_built_waiting_program_does_not_end_by_itself(tmp_path: Path) -> None:
    content = elf.program(os.uname().machine)
    if content is None:
        pytest.skip("the program is not written for this machine")
    path = tmp_path / "wait"
    path.write_bytes(content)
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    finally:
        process.kill()
    assert process.wait() == -9


def test_the_built_image_contains_only_the_waiting_program() -> None:
    archive = elf.image("aarch64")
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        (member,) = found.getmembers()
        assert (member.name, member.mode) == ("wait", 0o755)
    assert elf.image("s390x") is None
