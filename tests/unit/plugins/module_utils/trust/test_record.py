from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust import record


def test_a_record_is_written_atomically_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "hardener" / "trust" / "record.json"
    record.write({"a": 1}, str(path))
    record.write({"a": 2}, str(path))
    assert json.loads(path.read_text()) == {"a": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]


def test_a_full_disk_keeps_the_previous_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trust" / "record.json"
    record.write({"a": 1}, str(path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Failed, match="No space left on device"):
        record.write({"a": 2}, str(path))
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]
