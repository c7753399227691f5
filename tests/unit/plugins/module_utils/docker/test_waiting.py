"""The program that waits, and the image with it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import waiting


def test_the_built_waiting_program_does_not_end_by_itself(tmp_path: Path) -> None:
    content = waiting.program(os.uname().machine)
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
    archive = waiting.image("aarch64")
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        (member,) = found.getmembers()
        assert (member.name, member.mode) == ("wait", 0o755)
    assert waiting.image("s390x") is None
