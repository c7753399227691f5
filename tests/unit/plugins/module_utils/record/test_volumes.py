"""What is mounted into a container is looked at while a hostile program changes it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import volumes

MOST = 1 << 20


@contextmanager
def nested(folder: Path, levels: int) -> Iterator[None]:
    """Folders in one another, deeper than Python calls itself."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    yield
    subprocess.run(["rm", "-rf", str(folder / "d")], check=True)  # pytest would call itself, too


def test_sizes_and_changes_are_measured(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("12345")
    (tmp_path / "link").symlink_to("/etc")
    assert 5 <= volumes.size(str(tmp_path), MOST) < 100
    found = dict(volumes.changed(str(tmp_path), "/data/", 0))
    assert set(found) == {"/data/a", "/data/a/b", "/data/link"}
    assert not dict(volumes.changed(str(tmp_path), "/data", 1 << 40))


def test_a_sparse_file_is_measured_by_its_nominal_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert volumes.size(str(tmp_path), MOST) == MOST + 1


def test_deeply_nested_folders_cause_no_error(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("")
    with nested(tmp_path, 1500):
        assert volumes.size(str(tmp_path), MOST) == MOST + 1
        assert volumes.kind(str(tmp_path)) == volumes.WITH_DOORS  # or it may be: not all was seen
        assert "/v/new" in dict(volumes.changed(str(tmp_path), "/v", 0))


def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "volume", tmp_path / "outside"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret-name").write_text("")
    walk = volumes.changed(str(inside), "/v", 0)
    assert next(walk)[0] == "/v/folder"
    (inside / "folder").rmdir()
    (inside / "folder").symlink_to(outside)
    assert not list(walk)


def test_changes_of_a_mounted_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    assert list(volumes.changed(str(tmp_path / "log"), "/log", 0)) == [("/log", False)]
    assert not list(volumes.changed(str(tmp_path / "log"), "/log", 1 << 40))
    assert not list(volumes.changed(str(tmp_path / "none"), "/log", 0))


def test_changes_on_other_file_systems_below_a_folder_are_not_looked_at() -> None:
    found = dict(volumes.changed("/dev", "/d", 0))
    assert "/d/null" in found
    other = Path("/dev/pts").is_mount()
    assert not (other and any(path.startswith("/d/pts/") for path in found))


def test_a_folder_with_too_many_files_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "_MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    walk = volumes.changed(str(tmp_path), "/v", 0)
    assert len([next(walk), next(walk)]) == 2
    with pytest.raises(volumes.TooMany):
        next(walk)


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes need root")
@pytest.mark.parametrize("folder", [".", "a", "a/b/c"])
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_folder_with_a_special_file_has_a_kind_of_its_own(tmp_path: Path, kind: int, folder: str) -> None:
    inside = tmp_path / "tree" / folder
    inside.mkdir(parents=True)
    (inside / "link").symlink_to("/dev/null")
    (inside / "file").touch()
    os.link(inside / "file", inside / "hard link")
    assert volumes.kind(str(tmp_path / "tree")) == "directory"
    os.mknod(inside / "x", kind | 0o600, os.makedev(1, 3))
    assert volumes.kind(str(tmp_path / "tree")) == volumes.WITH_DOORS


def test_a_folder_with_a_mount_is_protected_only_where_the_engine_protects_mounts_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    mounts: list[str] = []
    monkeypatch.setattr(volumes, "mounted_below", lambda _folder: mounts)
    path = str(tmp_path / "link")
    assert volumes.kind(path, recursive=False) == "directory"
    mounts += [str(tmp_path)]
    assert volumes.kind(path, recursive=False) == "directory"
    mounts += [f"{tmp_path}/data"]
    assert volumes.kind(path, recursive=False) == volumes.WITH_DOORS
    assert volumes.kind(path) == "directory"


def test_a_folder_with_a_socket_has_a_kind_of_its_own(tmp_path: Path) -> None:
    assert volumes.kind(str(tmp_path)) == "directory"
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run/s"))
        assert volumes.kind(str(tmp_path)) == volumes.WITH_DOORS
        assert volumes.kind(str(tmp_path / "run/s")) == "a socket"
    assert volumes.kind("/proc") == "directory"
    assert volumes.kind(str(tmp_path / "none")) == "a missing path"
