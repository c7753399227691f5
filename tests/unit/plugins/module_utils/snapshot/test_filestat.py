from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.filestat import Files, parse_acl

from tests.unit.plugins.module_utils.host.fuse import NEEDS_FUSE, on_a_mount_of
from tests.unit.plugins.module_utils.host.trees import EVE


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
BASE = ((0x01, 6, NOBODY), (0x04, 4, NOBODY), (0x20, 0, NOBODY))


def test_an_acl_equal_to_the_mode_is_omitted() -> None:
    assert parse_acl(acl(*BASE)) == []
    assert parse_acl(b"") == []
    assert parse_acl(b"\x07\0\0\0rubbish") == []


def test_an_acl_with_a_user_is_recorded() -> None:
    entries = parse_acl(acl(BASE[0], (0x02, 6, 1000), BASE[1], (0x08, 5, 33), (0x10, 7, NOBODY), BASE[2]))
    assert [(entry["tag"], entry["id"], entry["perms"]) for entry in entries] == [
        ("owner", None, "rw-"),
        ("user", 1000, "rw-"),
        ("owning-group", None, "r--"),
        ("group", 33, "r-x"),
        ("mask", None, "rwx"),
        ("other", None, "---"),
    ]


def test_file_attributes_are_recorded(tmp_path: Path) -> None:
    file, link, dangling = tmp_path / "file", tmp_path / "link", tmp_path / "dangling"
    file.write_text("x")
    file.chmod(0o4640)
    link.symlink_to(file)
    dangling.symlink_to(tmp_path / "none")
    files = Files()
    for path in (file, link, dangling, tmp_path, tmp_path / "none", file / "below"):
        files.add(str(path))
    record = files.records[str(file)]
    assert record is not None
    assert (record["type"], record["mode"], record["size"]) == ("file", "4640", 1)
    assert (record["uid"], record["gid"], record["target"]) == (os.geteuid(), os.getegid(), None)
    through = files.records[str(link)]
    assert through is not None
    assert (through["type"], through["mode"], through["target"]) == ("file", "4640", str(file))
    broken = files.records[str(dangling)]
    assert broken is not None
    assert (broken["type"], broken["target"]) == ("link", str(tmp_path / "none"))
    assert files.records[str(tmp_path)]["type"] == "dir"  # type: ignore[index]
    assert files.records[str(tmp_path / "none")] is None
    assert files.records[str(file / "below")] is None


def test_a_file_below_a_linked_folder_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("")
    (tmp_path / "alias").symlink_to("real")
    record = Files().add(f"{tmp_path}/alias/../alias/f")
    assert record is not None
    assert record["target"] == f"{tmp_path}/real/f"


def test_a_loop_of_links_is_an_error_and_not_absent(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    record = Files().add(str(tmp_path / "a"))
    assert record is not None
    assert "error" in record


def test_a_tree_is_recorded(tmp_path: Path) -> None:
    names = ("registry.example.org:5000/ca.crt", "b c/client.key")
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    files = Files()
    files.add_tree(str(tmp_path))
    assert {f"{tmp_path}/{name}" for name in names} <= set(files.records)
    assert len(files.records) == 5
    files.add_tree(str(tmp_path / "none"))
    assert files.records[str(tmp_path / "none")] is None
    files.add_tree(str(tmp_path), limit=2)
    assert "more than 2" in str(files.records[str(tmp_path)])


def test_linked_folders_of_a_tree_are_read_on_request(tmp_path: Path) -> None:
    tree, elsewhere = tmp_path / "certs.d", tmp_path / "elsewhere"
    (tree / "plain").mkdir(parents=True)
    (elsewhere / "below").mkdir(parents=True)
    for certificate in (elsewhere / "ca.crt", elsewhere / "below" / "client.key"):
        certificate.write_text("")
    (elsewhere / "back").symlink_to(elsewhere)
    for name, target in (("registry", elsewhere), ("itself", tree), ("gone", tmp_path / "gone")):
        (tree / name).symlink_to(target)
    (tree / "plain" / "deeper").symlink_to(elsewhere)
    plain, followed = Files(), Files()
    plain.add_tree(str(tree))
    followed.add_tree(str(tree), follow=True)
    read = {str(Path(path).relative_to(tree)) for path in followed.records.keys() - plain.records.keys()}
    registry = {"registry/ca.crt", "registry/below", "registry/below/client.key", "registry/back"}
    assert read == registry | {
        f"itself/{name}" for name in ("plain", "registry", "itself", "gone", "plain/deeper")
    }
    followed.add_tree(str(tree), limit=10, follow=True)
    assert "more than 10" in str(followed.records[str(tree)])


def test_a_name_that_is_not_utf8_is_recorded(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(path).write_text("")
    files = Files()
    assert files.add(path) is not None
    assert list(files.records) == [f"{tmp_path}/\\xff"]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_a_path_that_a_user_could_redirect_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "reg"
    folder.mkdir()
    (tmp_path / "victim").write_text("x")
    for name in ("theirs", "roots"):
        (folder / name).symlink_to("../victim")
    os.link(tmp_path / "victim", folder / "hard")
    (folder / "plain").write_text("x")
    os.lchown(folder / "theirs", 4711, 4711)
    files = Files()

    def untrusted() -> dict[str, str]:
        files.records.clear()
        files.add_tree(str(folder))
        files.add(str(tmp_path / "victim"))
        return {
            Path(path).name: record["untrusted"]
            for path, record in files.records.items()
            if record and "untrusted" in record
        }

    assert set(untrusted()) == {"theirs"}
    os.chown(folder, 4711, 4711)
    found = untrusted()
    assert set(found) == {"theirs", "roots", "hard"}
    assert found["theirs"].startswith(f"{folder}/theirs: this symbolic link belongs to uid 4711")
    assert "users other than root can create one" in found["roots"]
    assert "has 2 hard links" in found["hard"]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
@pytest.mark.parametrize(
    ("mode", "owner", "exchanged"),
    [
        (0o755, 0, False),
        (0o755, 4711, True),  # who may chmod it
        (0o1755, 4711, True),
        (0o775, 0, True),
        (0o757, 0, True),
        (0o756, 0, False),  # may write, and not get in
        (0o765, 0, False),
        (0o1777, 0, False),  # root's own file stays root's
    ],
)
def test_a_folder_where_others_can_replace_a_file_is_recorded(
    tmp_path: Path, mode: int, owner: int, exchanged: bool
) -> None:
    folder = tmp_path / "reg"
    folder.mkdir()
    (folder / "f").write_text("")
    os.chown(folder, owner, 0)
    folder.chmod(mode)
    (tmp_path / "link").symlink_to("reg/f")
    for path in (folder / "f", tmp_path / "link"):
        record = Files().add(str(path))
        assert record is not None
        found = record.get("exchangeable", "")
        assert found == (f"{folder} is of uid {owner}, mode {mode:04o}" if exchanged else "")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_in_a_sticky_folder_missing_and_foreign_files_are_replaceable(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "f").write_text("")
    os.chown(tmp_path / "f", 4711, 4711)
    (tmp_path / "link").symlink_to("missing")
    for name in ("f", "link"):
        record = Files().add(str(tmp_path / name))
        assert record is not None
        assert record["exchangeable"] == f"{tmp_path} is of uid 0, mode 1777"


@NEEDS_FUSE
@pytest.mark.parametrize("user", [EVE, 0])
@pytest.mark.parametrize("inner", [".", "folder", "folder/inner"])
def test_files_on_a_file_system_of_a_user_belong_to_that_user(tmp_path: Path, user: int, inner: str) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def work() -> str:
        record = Files().add(str(mounted / inner)) or {}
        return f"{record['uid']} {record['owner']} {record.get('exchangeable', '')}"

    said = on_a_mount_of(user, mounted, tmp_path, work)
    assert said.startswith(f"{user} root " if user == 0 else f"{user} {user} ")
    assert (f"{mounted} is on a file system that uid {EVE} mounted" in said) is (user == EVE)
