from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import files
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.files import FILE, NOTHING, State


def state(path: Path) -> State:
    return files.read(str(path))


def wanted(content: bytes, mode: int = 0o644) -> State:
    return State(FILE, content, mode, os.geteuid(), os.getegid())


def test_a_file_is_created_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "new"
    files.put(str(path), NOTHING, wanted(b"text", 0o640))
    assert path.read_bytes() == b"text"
    assert state(path) == wanted(b"text", 0o640)


def test_content_is_replaced_atomically_and_hard_links_keep_the_former_content(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"old")
    os.link(path, other)
    files.put(str(path), state(path), wanted(b"new"))
    assert path.read_bytes() == b"new"
    assert other.read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.put(str(path), state(path), wanted(b"new"))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_temporary_file_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    Path(files.temporary_name(str(path))).write_bytes(b"half")
    files.put(str(path), NOTHING, wanted(b"whole"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "a", tmp_path / "victim"
    victim.write_bytes(b"untouched")
    Path(files.temporary_name(str(path))).symlink_to(victim)
    files.put(str(path), NOTHING, wanted(b"new"))
    assert victim.read_bytes() == b"untouched"


def test_the_target_of_a_link_is_written_and_the_link_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("target")
    real = files.real_path(str(link))
    files.put(real, files.read(real), wanted(b"new"))
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_link_loops_and_dangling_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Refused, match="loop"):
        files.real_path(str(tmp_path / "a"))
    (tmp_path / "c").symlink_to("gone/file")
    with pytest.raises(Refused, match="does not exist"):
        files.real_path(str(tmp_path / "c"))


def test_a_change_of_the_mode_does_not_rewrite_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    path.chmod(0o666)
    inode = path.stat().st_ino
    files.put(str(path), state(path), state(path)._replace(mode=0o600))
    assert (path.stat().st_mode & 0o7777, path.stat().st_ino) == (0o600, inode)


def test_a_setuid_bit_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    path.chmod(0o4755)
    files.set_attributes(str(path), state(path)._replace(mode=0o755))
    assert path.stat().st_mode & 0o7777 == 0o755


def test_a_folder_and_a_pipe_have_a_state_without_content(tmp_path: Path) -> None:
    assert files.read(str(tmp_path)).kind == "dir"
    os.mkfifo(tmp_path / "pipe")
    assert files.read(str(tmp_path / "pipe")) == files.read(str(tmp_path / "pipe"), content=False)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_SIZE", 10)
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(Refused, match="11 bytes"):
        state(tmp_path / "big")


def test_removing_a_missing_file_succeeds(tmp_path: Path) -> None:
    files.put(str(tmp_path / "gone"), NOTHING, NOTHING)


def test_missing_folders_are_named_outermost_first(tmp_path: Path) -> None:
    assert files.missing_directories(str(tmp_path / "a/b/c")) == [str(tmp_path / "a"), str(tmp_path / "a/b")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [(files._IMMUTABLE, "chattr -i it first"), (files._APPEND_ONLY, "chattr -a it first")],
)
def test_an_immutable_path_is_reported_with_the_command_that_unlocks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, said: str
) -> None:
    path, folder = tmp_path / "x" / "y", tmp_path / "x"
    folder.mkdir()
    path.write_bytes(b"")
    os.mkfifo(folder / "pipe")
    marked = [path]

    def ioctl(handle: int, *_: object) -> bytes:
        return struct.pack("Q", flags if Path(f"/proc/self/fd/{handle}").readlink() in marked else 0)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    for replaced in (True, False):
        assert files.obstacle(str(path), replaced=replaced) == f"{path} is immutable or append-only: {said}"
        assert files.obstacle(str(folder / "pipe"), replaced=replaced) == ""
    marked[:] = [folder]
    assert files.obstacle(str(path), replaced=False) == ""
    assert files.obstacle(str(path), replaced=True).startswith(f"{folder} is immutable")
    assert files.obstacle(str(folder / "new/file"), replaced=True).startswith(f"{folder} is immutable")


def test_a_path_on_a_read_only_file_system_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.obstacle(str(tmp_path / "new"), replaced=True) == ""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    said = files.obstacle(str(tmp_path / "new"), replaced=True)
    assert said == f"{tmp_path} is on a file system that is mounted read-only"


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def test_with_an_acl_the_group_permission_is_read_from_its_entry_and_not_from_the_mask() -> None:
    entries = acl((0x01, 6, 0), (0x02, 6, 1000), (0x04, 4, 0), (0x10, 6, 0), (0x20, 4, 0))
    assert files.group_bits(State(FILE, b"", 0o664, 0, 0, entries)) == 4
    assert files.group_bits(State(FILE, b"", 0o664, 0, 0)) == 6


def test_default_acls_of_a_folder_are_not_inherited(tmp_path: Path) -> None:
    inherited = acl((0x01, 6, -1), (0x02, 6, 1000), (0x04, 6, -1), (0x10, 6, -1), (0x20, 4, -1))
    os.setxattr(tmp_path, "system.posix_acl_default", inherited)
    path = tmp_path / "key"
    files.put(str(path), NOTHING, wanted(b"secret", 0o640))
    assert state(path) == wanted(b"secret", 0o640)


BEFORE = State(FILE, None, 0o4666, 1, 1)
AFTER = State(FILE, None, 0o644, 0, 0)
ACL = b"\2\0\0\0"


@pytest.mark.parametrize(
    ("now", "ours"),
    [
        (BEFORE, True),
        (AFTER, True),
        (BEFORE._replace(uid=0, gid=0), True),
        (BEFORE._replace(uid=0, gid=0, mode=0o666), True),  # what chown leaves of setuid
        (AFTER._replace(uid=1, gid=1), True),
        (AFTER._replace(mode=0o600), False),
        (BEFORE._replace(uid=2), False),
        (BEFORE._replace(uid=0), False),  # its owner alone
        (AFTER._replace(acl=ACL), False),
        (NOTHING, False),
    ],
)
def test_partly_set_attributes_are_distinguished_from_those_set_by_others(now: State, ours: bool) -> None:
    assert files.between(now, BEFORE, AFTER) is ours


def test_with_an_acl_a_state_with_the_former_mask_counts_as_partly_set() -> None:
    with_acl = AFTER._replace(acl=ACL, mode=0o664)
    assert files.between(AFTER._replace(acl=ACL, mode=0o674), AFTER, with_acl)
    assert not files.between(AFTER._replace(acl=ACL, mode=0o676), AFTER, with_acl)


def test_reserved_room_is_freed_in_its_own_folder_only(tmp_path: Path) -> None:
    (tmp_path / ".x.reserve.hardener~").touch()
    files.release(str(tmp_path / "gone" / "x"))
    assert (tmp_path / ".x.reserve.hardener~").exists()
    files.release(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []
