from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.plugin_utils import files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_with_its_mode_without_temporary_files(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    before = os.umask(0o077)
    try:
        files.write(path, b"new", mode=0o644, durable=durable)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]


def test_a_failed_write_keeps_the_former_file(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        files.write(folder, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["there"]
    with pytest.raises(OSError, match="No such file"):
        files.write(tmp_path / "none" / "file", b"new")
