"""No owner is believed on a file system whose program belongs to a user."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic, descriptors

from tests.unit.plugins.module_utils.host.fuse import NEEDS_FUSE, on_a_mount_of
from tests.unit.plugins.module_utils.host.trees import EVE

pytestmark = NEEDS_FUSE

_DETACH = 2  # MNT_DETACH


def _refusal(path: Path) -> str:
    try:
        atomic.write(str(path), b"new")
    except descriptors.Untrusted as refused:
        return str(refused)
    return "written"


@pytest.mark.parametrize("inner", [".", "folder", "folder/inner"])
@pytest.mark.parametrize("user", [EVE, 0])
def test_owners_on_a_file_system_of_a_user_are_not_trusted(tmp_path: Path, user: int, inner: str) -> None:
    loader, mounted = tmp_path / "loader", tmp_path / "mounted"
    loader.write_text("root's")
    mounted.mkdir()
    os.chown(mounted, EVE, EVE)
    said = on_a_mount_of(user, mounted, loader, lambda: _refusal(mounted / inner / "ca.crt"))
    if user == 0 and inner != "folder/inner":  # mounted by root, such as a storage of a cluster
        assert (said, loader.read_text()) == ("written", "new")
    else:
        assert loader.read_text() == "root's"
        assert "this symbolic link is in a folder where users other than root can create one" in said
    assert (f"{mounted} is on a file system that uid {EVE} mounted" in said) is (user == EVE)


def test_a_file_system_that_was_unmounted_while_it_was_open_is_not_trusted(tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def work() -> str:
        walk = descriptors._Walk(str(mounted / "ca.crt"), follow=True)
        opened = os.open(mounted, os.O_PATH | os.O_DIRECTORY)
        assert ctypes.CDLL(None).umount2(os.fsencode(mounted), _DETACH) == 0
        above = walk._levels[0]
        above.device = -1
        level = descriptors._Level(opened, "mounted", above)
        return f"{level.ours} {level.guarded} {level.mounted_by}"

    assert on_a_mount_of(EVE, mounted, tmp_path / "loader", work) == "True False -1"
