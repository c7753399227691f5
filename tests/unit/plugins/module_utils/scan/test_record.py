from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.contract import SCAN_FORMAT
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan import record


def test_a_record_is_written_atomically_for_root_alone(tmp_path: Path) -> None:
    folder = tmp_path / "hardener" / "scan"
    with record.locked(str(folder)):
        record.store(str(folder), {"format": SCAN_FORMAT, "version": "1", "x": 1})
    assert record.load(str(folder))["x"] == 1
    assert (folder / "record.json").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "record.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}'])
def test_an_unusable_record_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    assert record.load(str(tmp_path)) == {}


def test_a_full_disk_keeps_the_previous_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record.store(str(tmp_path), {"x": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Failed, match="No space left"):
        record.store(str(tmp_path), {"x": 2})
    assert json.loads((tmp_path / "record.json").read_text()) == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_files_of_a_killed_run_are_removed_and_its_lock_file_is_used_again(tmp_path: Path) -> None:
    (tmp_path / f".x{atomic.SUFFIX}").write_text("{")
    (tmp_path / "lock").touch()
    with record.locked(str(tmp_path)):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_second_scan_at_the_same_time_is_refused(tmp_path: Path) -> None:
    with (
        record.locked(str(tmp_path)),
        pytest.raises(Failed, match="another scan of this host is running"),
        record.locked(str(tmp_path)),
    ):
        pass
    with record.locked(str(tmp_path)):
        pass


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="file"), record.locked(str(tmp_path / "file" / "scan")):
        pass
