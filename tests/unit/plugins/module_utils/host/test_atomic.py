from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic, descriptors
from ansible_collections.hardener.docker.plugins.module_utils.host.atomic import Attributes, Meddled
from ansible_collections.hardener.docker.plugins.module_utils.host.descriptors import Untrusted

from tests.unit.plugins.loading import COLLECTIONS
from tests.unit.plugins.module_utils.host.trees import EVE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_atomically_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "record"
    atomic.write(str(path), b"one")
    assert (path.read_bytes(), mode(path)) == (b"one", 0o600)
    atomic.write(str(path), b"two" * 1_000_000, Attributes(0o644))
    assert (path.stat().st_size, mode(path), names(tmp_path)) == (3_000_000, 0o644, ["record"])


def test_writing_through_a_link_of_the_same_user_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    atomic.write(str(tmp_path / "link"), b"x")
    assert (names(tmp_path), (tmp_path / "link").is_symlink()) == (["link", "real"], True)


@pytest.mark.parametrize("fails", ["fsync", "rename", "fchmod", "write"])
def test_a_failed_write_keeps_the_earlier_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "record"
    atomic.write(str(path), b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space"):
            atomic.write(str(path), b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["record"])


def test_a_user_writes_an_own_file_without_the_right_to_change_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise AssertionError("the filter of a service's unit kills a process that changes an owner")

    for call in ("chown", "fchown", "lchown"):
        monkeypatch.setattr(os, call, killed)
    atomic.make_folders(str(tmp_path / "state"), 0o700)
    for content in (b"first", b"second"):
        atomic.write(str(tmp_path / "state/record"), content)
    assert (tmp_path / "state/record").read_bytes() == b"second"


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data[:3])))
    atomic.write(str(tmp_path / "x"), b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_concurrent_writers_do_not_mix_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync = tmp_path / "x", os.fsync
    others = [b"second"]

    def meanwhile(handle: int) -> None:
        if others:
            atomic.write(str(path), others.pop())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    atomic.write(str(path), b"first")
    assert (path.read_bytes(), names(tmp_path)) == (b"first", ["x"])


def test_a_replaced_temporary_file_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "victim").write_text("root's")
    rename = os.rename

    def swap(name: str, other: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        os.unlink(name, dir_fd=src_dir_fd)
        os.symlink("victim", name, dir_fd=src_dir_fd)
        rename(name, other, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", swap)
    with pytest.raises(Meddled, match="another process changed it meanwhile"):
        atomic.write(str(tmp_path / "x"), b"new")
    assert (tmp_path / "victim").read_text() == "root's"


@needs_root
@pytest.mark.parametrize("way", ["link/x", "folder", "hard"])
def test_links_of_other_users_are_not_followed(tmp_path: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("root's")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(outside)
    (theirs / "folder").symlink_to(outside)
    os.link(outside / "x", theirs / "hard")
    for each in (theirs, theirs / "link", theirs / "folder"):
        os.lchown(each, EVE, EVE)
    path = f"{theirs}/{way}"
    calls: list[Callable[[], object]] = [
        lambda: atomic.write(path, b"new"),
        lambda: atomic.make_folders(f"{path}/new"),
        lambda: atomic.make_folder(f"{path}/new"),
        lambda: atomic.remove_tree(f"{path}/x"),
        lambda: atomic.rename(f"{path}/x", f"{path}/y"),
        lambda: atomic.rename(f"{tmp_path}/mine", f"{path}/y"),
        lambda: atomic.make_link("/etc/passwd", f"{path}/y"),
        lambda: atomic.remove(f"{path}/x"),
        lambda: atomic.remove_folder(f"{path}/x"),
        lambda: atomic.set_modified(f"{path}/x", 1),
        lambda: descriptors.content(path, 10),
        lambda: descriptors.names(path),
    ]
    before = (outside / "x").stat()
    for call in calls:
        with pytest.raises((Untrusted, NotADirectoryError)):
            call()
    with pytest.raises(Untrusted), descriptors.folder(path):
        pass
    after = (outside / "x").stat()
    assert names(outside) == ["x"]
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime_ns,
    )


def test_only_missing_folders_are_created(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o711)
    (tmp_path / "link").symlink_to("a")
    atomic.make_folders(str(tmp_path / "link" / "b" / "c"), 0o700)
    assert [mode(tmp_path / each) for each in ("a", "a/b", "a/b/c")] == [0o711, 0o700, 0o700]
    atomic.make_folders(str(tmp_path / "a/b/c"))
    (tmp_path / "file").touch()
    for path in ("file", "file/x"):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            atomic.make_folders(str(tmp_path / path))


def test_a_tree_is_removed_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").touch()
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "link").symlink_to(tmp_path / "outside")
    atomic.remove_tree(str(tmp_path / "tree"))
    atomic.remove_tree(str(tmp_path / "tree"))
    assert (names(tmp_path), names(tmp_path / "outside")) == (["outside"], ["x"])


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    """Deeper than a path can be long, and than files may be open at once."""
    (tmp_path / "tree").mkdir()
    handle = os.open(tmp_path / "tree", os.O_RDONLY)
    for number in range(1500):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        if number % 100 == 0:
            os.mkfifo("pipe", dir_fd=inner)
        os.close(handle)
        handle = inner
    os.close(handle)
    atomic.remove_tree(str(tmp_path / "tree"))
    assert names(tmp_path) == []


@needs_root
def test_a_bind_mount_in_a_tree_is_not_emptied(tmp_path: Path) -> None:
    """What is mounted there is of the same file system, and has the same device number."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").touch()
    (tmp_path / "tree" / "mounted").mkdir(parents=True)
    program = f"import sys; from {atomic.__package__} import atomic; atomic.remove_tree(sys.argv[1])"
    script = f'mount --bind "$1/outside" "$1/tree/mounted" && exec "$2" -c "{program}" "$1/tree"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, sys.executable],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a file system is mounted in the folder" in done.stderr
    assert names(tmp_path / "outside") == ["x"]


def test_files_are_renamed_and_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    atomic.write(f"{tmp_path}/a", b"x")
    atomic.rename(f"{tmp_path}/a", f"{tmp_path}/sub/b")
    atomic.make_link("b", f"{tmp_path}/sub/link")
    atomic.make_link("sub", f"{tmp_path}/sub/link")
    assert (tmp_path / "sub/link").readlink() == Path("sub")
    atomic.remove(f"{tmp_path}/sub/link")
    atomic.remove(f"{tmp_path}/sub/link")
    atomic.remove(f"{tmp_path}/sub/b")
    atomic.remove_folder(f"{tmp_path}/sub")
    assert names(tmp_path) == []


def test_attributes_of_a_device_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    with descriptors.at(f"{tmp_path}/link") as place, pytest.raises(OSError, match="links and devices"):
        atomic.set_attributes(place, Attributes(0o600))
    with descriptors.at("/dev/full", follow=True) as place, pytest.raises(OSError, match="links and devices"):
        atomic.set_attributes(place, Attributes(place.status.st_mode & 0o7777))
