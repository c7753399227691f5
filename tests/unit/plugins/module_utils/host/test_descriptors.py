from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic, descriptors
from ansible_collections.hardener.docker.plugins.module_utils.host.descriptors import Place, Untrusted

from tests.unit.handles import handles
from tests.unit.plugins.module_utils.host.trees import EVE, NAMES, grown, picture, verdict

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def resolved(path: Path | str) -> str:
    return descriptors.resolve(str(path))


# --- what works on every host -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/bin/sh", "/lib64/ld-linux-x86-64.so.2", "/usr/..", "/etc/localtime", "/etc/resolv.conf"),
        *("/var/run", "/var/run/docker.sock", "/var/lock", "/etc/alternatives/pager", "/usr/bin/python3"),
        *("/etc/mtab", "/proc/self/cwd", "/nowhere/at/all", "//etc//docker/./daemon.json"),
    ],
)
def test_symbolic_links_of_the_distribution_are_followed(path: str) -> None:
    before = handles()
    # `realpath` knows no difference between what is there and what is not.
    expected = os.path.realpath(path) if not path.startswith("/proc") else str(Path.cwd())
    assert resolved(path) == (f"/proc/{os.getpid()}/mounts" if path == "/etc/mtab" else expected)
    assert not handles() - before


def test_links_of_the_user_in_folders_of_the_user_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    (tmp_path / "abs").symlink_to(tmp_path / "a")
    (tmp_path / "a/up").symlink_to("../abs/b/..")
    (tmp_path / "gone").symlink_to("a/no/such")
    assert resolved(tmp_path / "abs/b/file") == f"{tmp_path}/a/b/file"
    assert resolved(tmp_path / "abs/up/b") == f"{tmp_path}/a/b"
    assert resolved(tmp_path / "abs/up") == f"{tmp_path}/a"
    assert resolved(tmp_path / "gone") == f"{tmp_path}/a/no/such"
    with descriptors.at(f"{tmp_path}/gone", follow=True) as place:
        assert (place.exists, place.missing, place.name) == (False, ("no",), "such")


def test_link_loops_and_files_as_folders_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "file").write_text("x")
    before = handles(f"{tmp_path}/")
    for path, said in (("a", "loop"), ("file/x", "Not a directory"), ("no/../x", "No such file")):
        with pytest.raises(OSError, match=said):
            resolved(tmp_path / path)
    assert not handles(f"{tmp_path}/") - before


def test_a_relative_path_is_refused() -> None:
    for path in ("etc/passwd", "", "/a\0b"):
        with pytest.raises(ValueError, match="is not an absolute path"):
            resolved(path)


# --- what another user could lead elsewhere -----------------------------------------------------------------


def folder(path: Path, uid: int, mode: int) -> Path:
    path.mkdir()
    os.chown(path, uid, 0)
    path.chmod(mode)
    return path


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "link_owner", "reason"),
    [
        (0, 0o755, 0, ""),
        (0, 0o700, 0, ""),
        (0, 0o2755, 0, ""),
        (0, 0o755, EVE, f"belongs to uid {EVE}"),
        (EVE, 0o755, 0, f"is of uid {EVE}, mode 0755"),
        (EVE, 0o700, EVE, f"belongs to uid {EVE}"),
        (0, 0o775, 0, "is of uid 0, mode 0775"),
        (0, 0o757, 0, "is of uid 0, mode 0757"),
        (0, 0o1777, 0, "is of uid 0, mode 1777"),
    ],
)
def test_trust_in_a_link_depends_on_its_owner_and_folder(
    tmp_path: Path, owner: int, mode: int, link_owner: int, reason: str
) -> None:
    (tmp_path / "target").write_text("x")
    within = folder(tmp_path / "f", owner, mode)
    (within / "link").symlink_to("../target")
    os.lchown(within / "link", link_owner, 0)
    if not reason:
        assert resolved(within / "link") == f"{tmp_path}/target"
        return
    with pytest.raises(Untrusted, match=reason) as caught:
        resolved(within / "link")
    assert str(caught.value).startswith(f"{within}/link: this symbolic link ")
    assert "remove it, or " in str(caught.value)
    with descriptors.at(f"{within}/link") as place:  # the link itself may be looked at, and removed
        assert place.path == f"{within}/link"


@needs_root
def test_a_link_in_a_folder_that_an_acl_lets_others_write_is_refused(tmp_path: Path) -> None:
    within = folder(tmp_path / "f", 0, 0o755)
    (within / "link").symlink_to("/etc/passwd")
    entries = ((0x01, 7, -1), (0x02, 7, EVE), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1))
    os.setxattr(within, "system.posix_acl_access", acl(*entries))
    with pytest.raises(Untrusted, match="mode 0775"):
        resolved(within / "link")
    # read alone is no harm
    entries = ((0x01, 7, -1), (0x02, 5, EVE), (0x04, 5, -1), (0x10, 5, -1), (0x20, 5, -1))
    os.setxattr(within, "system.posix_acl_access", acl(*entries))
    assert resolved(within / "link") == "/etc/passwd"


@needs_root
def test_a_link_of_root_below_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Whoever can rename folders decides which of root's links is followed."""
    shared = folder(tmp_path / "shared", 0, 0o777)
    within = folder(shared / "roots", 0, 0o755)
    (within / "link").symlink_to("/etc/passwd")
    with pytest.raises(Untrusted, match=f"{shared} is of uid 0, mode 0777"):
        resolved(within / "link")
    shared.chmod(0o1777)  # now only root renames root's
    assert resolved(within / "link") == "/etc/passwd"
    os.chown(within, EVE, 0)
    with pytest.raises(Untrusted):
        resolved(within / "link")


@needs_root
def test_a_hard_link_in_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("root's")
    within = folder(tmp_path / "f", EVE, 0o755)
    os.link(victim, within / "ca.crt")
    with pytest.raises(Untrusted, match="has 2 hard links and is in a folder where users other"):
        resolved(within / "ca.crt")
    victim.unlink()
    assert resolved(within / "ca.crt") == f"{within}/ca.crt"
    os.link(within / "ca.crt", tmp_path / "own")  # in root's folder a second name is root's doing
    assert resolved(tmp_path / "own") == f"{tmp_path}/own"


@needs_root
@pytest.mark.parametrize("again", [False, True])
def test_a_hard_link_that_is_removed_after_the_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    """The number of links is 1 again then; the time of the status change is not the earlier one."""
    victim = tmp_path / "victim"
    victim.write_text("root's")
    within = folder(tmp_path / "f", EVE, 0o755)
    os.link(victim, within / "ca.crt")
    really = os.open
    handles_before = handles(f"{tmp_path}/")

    def raced(path: str, flags: int, *args: int, **options: int) -> int:
        if path != "ca.crt":
            return really(path, flags, *args, **options)
        if again and not (within / path).exists():
            os.link(victim, within / path)
        handle = really(path, flags, *args, **options)
        (within / path).unlink()
        return handle

    monkeypatch.setattr(os, "open", raced)
    if again:
        with pytest.raises(Untrusted, match="was changed each time that it was opened, and is in a folder"):
            resolved(within / "ca.crt")
    else:
        with descriptors.at(f"{within}/ca.crt") as place:
            assert not place.exists
    assert handles(f"{tmp_path}/") == handles_before


@needs_root
@pytest.mark.parametrize(("owner", "mode"), [(EVE, 0o755), (0, 0o1777), (EVE, 0o775)])
@pytest.mark.parametrize("of", [0, EVE])
def test_a_new_file_in_a_folder_of_others_is_opened(tmp_path: Path, owner: int, mode: int, of: int) -> None:
    file = folder(tmp_path / "f", owner, mode) / "ca.crt"
    for content in ("old", "new"):
        file.write_text(content)
        os.chown(file, of, 0)
        with descriptors.at(str(file)) as place:
            assert descriptors.read(place, 9) == content.encode()


@needs_root
@pytest.mark.parametrize("clock", [-(10**12), 0, 10**12])
def test_the_age_of_a_file_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: int
) -> None:
    file = folder(tmp_path / "f", EVE, 0o755) / "ca.crt"
    file.write_text("root's")
    now, coarse = time.time_ns, time.clock_gettime_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + clock)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: coarse(which) + clock)
    assert resolved(file) == str(file)


def test_names_are_shown_without_control_characters(tmp_path: Path) -> None:
    error = Untrusted(f"{tmp_path}/\x1b[31mred\n", "no")
    assert str(error) == f"{tmp_path}/\\x1b[31mred\\n: no"


@needs_root
def test_a_reason_is_given_only_for_a_path_that_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "theirs").symlink_to("/etc/passwd")
    os.lchown(tmp_path / "theirs", EVE, EVE)
    assert descriptors.objection(f"{tmp_path}/theirs").startswith(f"{tmp_path}/theirs: this symbolic link")
    for fine in ("nothing/here", "theirs/../x"):
        assert (descriptors.objection(f"{tmp_path}/{fine}") == "") == (fine == "nothing/here")


# --- reading ------------------------------------------------------------------------------------------------


def test_only_regular_files_are_read_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert descriptors.content(f"{tmp_path}/link", 5000) == b"x" * 5000
    with pytest.raises(OSError, match="larger than 4999 bytes"):
        descriptors.content(f"{tmp_path}/link", 4999)
    with pytest.raises(OSError, match="not a regular file"):
        descriptors.content(f"{tmp_path}/pipe", 1)
    with pytest.raises(FileNotFoundError):
        descriptors.content(f"{tmp_path}/gone/x", 1)
    assert sorted(descriptors.names(str(tmp_path))) == ["file", "link", "pipe"]
    with pytest.raises(NotADirectoryError):
        descriptors.names(f"{tmp_path}/file")


# --- generated ----------------------------------------------------------------------------------------------

TREES = 40


@needs_root
@pytest.mark.parametrize("seed", range(4))
def test_paths_in_random_trees_are_opened_or_refused_like_a_reference_implementation_does(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    seen = {"touch": 0, "missing": 0, "refused": 0, "wrong": 0}
    for number in range(TREES):
        above = tmp_path / str(number)
        above.mkdir()
        tree = grown(above / "t", dice)
        before = picture(str(above))
        for attempt in range(8):
            path = "/" + "/".join(dice.choices((*NAMES, *NAMES, ".."), k=dice.randint(1, 5)))
            expected, where = verdict(tree, path)
            if expected == "unknown":
                continue
            seen[expected] += 1
            real = f"{tree.top}{where}".rstrip("/")
            try:
                with descriptors.at(tree.top + path, follow=True) as place:
                    found = "touch" if place.exists else "missing"
                    assert place.path == real, path
                    if place.exists:
                        atomic.set_attributes(place, atomic.Attributes(0o711, EVE + 1, EVE + 1 + attempt))
            except Untrusted as untrusted:
                found = "refused" if untrusted.filename == real else str(untrusted)
            except OSError:
                found = "wrong"
            assert found == expected, (seed, number, path)
            after = picture(str(above))
            changed = {each for each in before if before[each] != after[each]}
            before = after
            if found != "touch":
                assert changed == set()
                continue
            # A second name of the same file shows the change as well.
            assert {each for each in changed if not each.startswith(f"{tree.top}.")} == {real}
            node = tree.node(where)
            assert node is not None
            node.uid, node.mode = EVE + 1, 0o711
    assert min(seen.values()) >= 10, seen


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda place: os.stat(place.name, dir_fd=place.folder),
        lambda place: os.unlink(place.name, dir_fd=place.folder),
        lambda place: os.rename(place.name, "other", src_dir_fd=place.folder, dst_dir_fd=place.folder),
        lambda place: os.open(place.link, os.O_RDONLY),
    ],
)
def test_errors_name_the_full_path(tmp_path: Path, follow: bool, call: Callable[[Place], object]) -> None:
    path = str(tmp_path / "absent")
    with pytest.raises(FileNotFoundError) as raised, descriptors.at(path, follow=follow) as place:
        call(place)
    assert raised.value.filename == path


def test_an_error_at_a_parent_names_the_full_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = f"{tmp_path}/file/within"
    with pytest.raises(NotADirectoryError) as raised, descriptors.at(path):
        pass
    assert raised.value.filename == path
