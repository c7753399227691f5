from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import tree
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.ids import (
    UNSHIFTED,
    Range,
    Shift,
)

# Whoever runs the tests may give files to nobody else: their own ids are shifted by nothing.
MINE = Shift(Range(0, 2**31), Range(0, 2**31))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "file").write_bytes(b"content")
    (folder / "file").chmod(0o4750)
    os.link(folder / "file", folder / "deep" / "er" / "twin")
    (folder / "link").symlink_to("/etc/shadow")
    (folder / "gone").symlink_to("nowhere")
    os.mkfifo(folder / "deep" / "pipe")
    with (folder / "hole").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"island")
    os.setxattr(folder / "file", "user.note", b"kept")
    os.setxattr(folder / "deep", "user.drop", b"dropped")
    (folder / "name with \n and \udcff").write_text("odd")
    os.utime(folder / "deep" / "er", ns=(1, 1_000_000_000_000_000_007))
    (folder / "deep").chmod(0o2711)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_a_copy_has_all_attributes(source: Path, target: Path) -> None:
    tree.copy(str(source), str(target), MINE, without=frozenset({"user.drop"}))
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o4750
    assert (target / "file").stat().st_ino == (target / "deep" / "er" / "twin").stat().st_ino
    assert str((target / "link").readlink()) == "/etc/shadow"
    assert stat.S_ISFIFO((target / "deep" / "pipe").stat().st_mode)
    hole = (target / "hole").stat()
    assert (hole.st_size, hole.st_blocks * 512 < 1 << 20) == (64 << 20, True)
    with (target / "hole").open("rb") as file:
        file.seek(32 << 20)
        assert file.read(6) == b"island"
    assert os.getxattr(target / "file", "user.note") == b"kept"
    assert os.listxattr(target / "deep") == []
    assert (target / "deep" / "er").stat().st_mtime_ns == 1_000_000_000_000_000_007
    count, size, found = tree.differences(str(source), str(target), MINE, without=frozenset({"user.drop"}))
    assert found == []
    assert (count, size > 64 << 20) == (len(list(source.rglob("*"))) + 3, True)


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/SHADOW")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda path: (path / "file").write_bytes(b"CONTENT"),
    "mode": lambda path: (path / "file").chmod(0o750),
    "time of change": lambda path: os.utime(path / "hole", ns=(1, 1)),
    "bytes instead of": lambda path: (path / "file").write_bytes(b"more than before"),
    "target of the link": lambda path: relink(path / "link"),
    "extended attributes": lambda path: os.setxattr(path / "file", "user.note", b"other"),
    "only in the source or only in the copy": lambda path: (path / "more").touch(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_different_copy_is_reported(source: Path, target: Path, what: str) -> None:
    tree.copy(str(source), str(target), MINE)
    times = (target / "file").stat(), (target / "link").lstat()
    CHANGES[what](target)
    for name, status in zip(("file", "link"), times, strict=True):
        if what in ("content", "bytes instead of", "target of the link"):
            os.utime(target / name, ns=(1, status.st_mtime_ns), follow_symlinks=False)
    assert any(what in each for each in tree.differences(str(source), str(target), MINE)[2])


def test_a_renamed_folder_is_reported(source: Path, target: Path) -> None:
    tree.copy(str(source), str(target), MINE)
    (target / "deep").rename(target / "elsewhere")
    found = tree.differences(str(source), str(target), MINE)[2]
    assert {
        "./deep: only in the source or only in the copy",
        "./elsewhere: only in the source or only in the copy",
    } <= set(found)


def test_a_lost_hard_link_is_reported(source: Path, target: Path) -> None:
    tree.copy(str(source), str(target), MINE)
    twin = target / "deep" / "er" / "twin"
    status, folder = twin.stat(), twin.parent.stat()
    twin.unlink()
    twin.write_bytes(b"content")
    os.setxattr(twin, "user.note", b"kept")
    twin.chmod(0o4750)
    os.utime(twin, ns=(1, status.st_mtime_ns))
    os.utime(twin.parent, ns=(1, folder.st_mtime_ns))
    assert any("hard links" in each for each in tree.differences(str(source), str(target), MINE)[2])


def test_a_copy_into_a_folder_that_is_not_empty_is_refused(source: Path, target: Path) -> None:
    (target / "somebodys").touch()
    with pytest.raises(Failed, match="is not empty"):
        tree.copy(str(source), str(target), MINE)


def test_a_link_in_place_of_the_folder_is_not_followed(source: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(Failed):
        tree.copy(str(tmp_path / "link"), str(target), MINE)
    with pytest.raises(Failed):
        tree.measure(str(tmp_path / "link"), MINE)


def test_size_and_obstacles_of_a_tree_are_found_before_the_copy(source: Path) -> None:
    extent = tree.measure(str(source), MINE)
    assert (extent.entries, extent.obstacles) == (len(list(source.rglob("*"))), [])
    assert extent.size < 1 << 20  # of a hole nothing is on the disk, and twins are there once
    nobody = Shift(Range(100_000, 0), Range(100_000, 0))
    assert "beyond the range of ids" in tree.measure(str(source), nobody).obstacles[0]


def test_a_tree_that_is_too_deep_is_refused(tmp_path: Path, target: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(520):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        with pytest.raises(Failed, match="nested more than 500 deep"):
            tree.measure(str(tmp_path / "d"), UNSHIFTED)
        with pytest.raises(Failed, match="nested more than 500 deep"):
            tree.copy(str(tmp_path / "d"), str(target), UNSHIFTED)
    finally:
        for top in (tmp_path / "d", target / "d"):
            while (top / "d").exists():  # pytest itself cannot remove it
                (top / "d").rename(tmp_path / "rest")
                top.rmdir()
                (tmp_path / "rest").rename(top)
