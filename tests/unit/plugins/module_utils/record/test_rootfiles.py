"""Facts about files in the root of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import rootfiles

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changing the root folder needs root")
_OTHER_ROOT = "import os, sys; os.chroot(sys.argv[1]); os.write(1, b'.'); os.read(0, 1)"


@pytest.fixture
def pid(tmp_path: Path) -> Iterator[int]:
    """A process whose root is the test's folder."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_ROOT, str(tmp_path)], stdin=pipe, stdout=pipe
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        yield process.pid
        process.communicate()


def test_folders_below_others_are_found_with_their_owners(tmp_path: Path, pid: int) -> None:
    (tmp_path / "run/app/in").mkdir(parents=True)
    (tmp_path / "run/app/file").touch()
    (tmp_path / "run/link").symlink_to("/")
    (tmp_path / "elsewhere/hidden").mkdir(parents=True)
    os.chown(tmp_path / "run/app", 33, 4)
    (tmp_path / "run/app").chmod(0o750)
    found = rootfiles.folders(pid, ["/run", "/none"])
    assert found.keys() == {"/run/app", "/run/app/in"}
    assert found["/run/app"] == {"uid": 33, "gid": 4, "mode": 0o750}


def test_a_folder_with_too_many_others_below_is_left_out(tmp_path: Path, pid: int) -> None:
    for number in range(21):
        (tmp_path / f"many/{number}").mkdir(parents=True)
    for number in range(20):
        (tmp_path / f"few/{number}").mkdir(parents=True)
    assert len(rootfiles.folders(pid, ["/many", "/few"])) == 20


def test_a_folder_with_too_many_files_below_is_left_out(tmp_path: Path, pid: int) -> None:
    (tmp_path / "many/folder").mkdir(parents=True)
    for number in range(2_000):
        (tmp_path / f"many/{number}").touch()
    assert rootfiles.folders(pid, ["/many"]) == {}
