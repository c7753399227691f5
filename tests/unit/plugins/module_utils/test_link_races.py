"""Scans, trust, activity, recordings and releases, while a user exchanges names in a loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import record as activity
from ansible_collections.hardener.docker.plugins.module_utils.record import volumes
from ansible_collections.hardener.docker.plugins.module_utils.scan import record as scan
from ansible_collections.hardener.docker.plugins.module_utils.scan.layers import Layers
from ansible_collections.hardener.docker.plugins.module_utils.trust import main as trust

from tests.unit.plugins.module_utils.traps import Trap, race, swapping

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def scan_record(path: str) -> None:
    scan.write_json(path, {"by": "root"})
    assert "root's" not in str(scan.read_json(path))


def scan_lock(path: str) -> None:
    with scan.locked(str(Path(path).parent)):
        pass


def trust_record(path: str) -> None:
    trust.write({"by": "root"}, path)


def activity_record(path: str) -> None:
    activity.write({"by": "root"}, str(Path(path).parent))


def image_layers(path: str) -> None:
    top, _, name = path.partition("/eve/")
    content = Layers([f"{top}/eve"]).read(name)
    if content is None:
        raise FileNotFoundError(path)
    assert b"root's" not in content or name == "hard"  # a hard link is a file of the layer


def mounted_folder(path: str) -> None:
    top = f"{path.partition('/eve/')[0]}/eve"
    volumes.size(top, 1 << 30)
    found = {name for name, _ in volumes.changed(top, "/data", 0)}
    assert not {name for name in found if name.endswith("later")}
    if "/data/folder/ca.crt" not in found:
        raise FileNotFoundError(path)


REPORTED = (scan_record, scan_lock, trust_record)  # with Failed alone, whose text a user reads


@pytest.mark.parametrize("attempt", [*REPORTED, activity_record, image_layers, mounted_folder])
def test_files_outside_of_the_users_folder_are_neither_read_nor_changed_if_a_user_swaps_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[str], None]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk would be most of the time, and no part of it
    trap = Trap(tmp_path)
    with swapping(trap):
        found = race(trap, attempt, 150)
    if attempt in REPORTED:
        assert set(found) == {"done", "Failed"}
