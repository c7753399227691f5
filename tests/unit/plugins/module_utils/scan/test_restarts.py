from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.scan import restarts


def test_processes_that_use_replaced_libraries_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "_CODE", (f"{tmp_path}/",))
    program = tmp_path / "sleep"
    shutil.copy("/usr/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert [each["pid"] for each in restarts.processes_to_restart()] == []
            program.unlink()
            assert [
                each["pid"] for each in restarts.processes_to_restart()
            ] == []  # removed: there is no newer one
            shutil.copy("/usr/bin/sleep", program)
            (found,) = restarts.processes_to_restart()
            assert (found["pid"], found["name"], found["files"]) == (process.pid, "sleep", [str(program)])
            assert isinstance(found["began"], int)
        finally:
            process.kill()
