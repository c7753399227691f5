from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import scans

from tests.unit.scans import record


def left(folder: Path, document: object) -> str:
    path = folder / "record.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_without_a_scan_the_source_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no vulnerability scan"):
        scans.read(str(tmp_path / "record.json"))


def test_the_record_is_returned_without_ended_processes(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("")
    os.utime(status, (5, 5))
    here = {"pid": os.getpid(), "began": processes.started(os.getpid()), "name": "me"}
    document = record()
    document["host"]["packages_changed"] = 5
    document["host"]["restarts"] = [here, {**here, "began": 1}, {"pid": 2**22, "began": 3}, {"pid": None}, 7]
    found = scans.read(left(tmp_path, document), str(status))
    assert found["record"]["host"]["restarts"] == [here]
    assert found["packages_changed"] is False
    os.utime(status, (6, 6))
    assert scans.read(left(tmp_path, document), str(status))["packages_changed"] is True


@pytest.mark.parametrize("document", ["{", "[" * 100_000, [], {"format": "x"}, {"format": "hardener/scan/1"}])
def test_an_invalid_record_fails_the_source(tmp_path: Path, document: object) -> None:
    with pytest.raises(Failed):
        scans.read(left(tmp_path, document))
