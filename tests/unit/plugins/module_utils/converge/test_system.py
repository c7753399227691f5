from __future__ import annotations

from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils.converge import system


def test_a_missing_or_slow_command_is_a_failed_outcome(tmp_path: Path) -> None:
    assert system.run(str(tmp_path / "no-such-program")).code == 127
    assert system.run("sleep", "5", timeout=0.05).code == 124


def test_bytes_that_are_not_utf_8_are_read(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(b"Name:\t\xff\xfe\nUid:\t1000\n")
    assert system.read(str(tmp_path / "status")).splitlines()[1] == "Uid:\t1000"
