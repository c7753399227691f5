"""Paths that a user has led elsewhere, in ways that are neither a plain link nor a second name."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import history
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal

from tests.hanging import must_end
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.host.trees import EVE, picture

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


class Ground:
    """A folder of root's with what must stay as it is, and one of a user's beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.outside = folder / "outside"
        self.eve = folder / "eve"
        (self.outside / "inner").mkdir(parents=True)
        for name in ("loader", "inner/ca.crt"):
            (self.outside / name).write_text("root's")
            (self.outside / name).chmod(0o755)
        self.eve.mkdir()
        self.own(self.eve)

    def own(self, path: Path) -> Path:
        """Give a path to the user."""
        os.chown(path, EVE, EVE, follow_symlinks=False)
        return path

    def folder(self, name: str) -> Path:
        """Make a folder of the user's."""
        (self.eve / name).mkdir()
        return self.own(self.eve / name)

    def file(self, name: str, text: str = "eve's") -> Path:
        """Make a file of the user's."""
        (self.eve / name).write_text(text)
        return self.own(self.eve / name)

    def link(self, name: str, target: str | Path, *, owner: int = EVE) -> Path:
        """Make a link in the user's folder."""
        path = self.eve / name
        path.symlink_to(target)
        os.chown(path, owner, owner, follow_symlinks=False)
        return path

    @property
    def seen(self) -> object:
        """All that is outside."""
        found = picture(str(self.outside))
        return found, {path: Path(path).read_text() for path in found if Path(path).is_file()}


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An access control list as the kernel keeps it: tags, permissions and ids."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


_ANYBODY = 0xFFFFFFFF
_EVE_MAY = acl(
    (0x01, 7, _ANYBODY), (0x02, 7, EVE), (0x04, 5, _ANYBODY), (0x10, 7, _ANYBODY), (0x20, 5, _ANYBODY)
)


def listed(path: Path, name: str) -> None:
    """Give a path an access control list by which the user may write."""
    try:
        os.setxattr(path, f"system.posix_acl_{name}", _EVE_MAY)
    except OSError:
        pytest.skip("this file system has no access control lists")


def chain(ground: Ground, length: int) -> str:
    ground.link("step0", ground.outside / "loader")
    for number in range(1, length):
        ground.link(f"step{number}", f"step{number - 1}")
    return f"{ground.eve}/step{length - 1}"


def ring(ground: Ground) -> str:
    ground.link("one", "two")
    ground.link("two", "one")
    return f"{ground.eve}/one"


def roots_link_moved(ground: Ground) -> str:
    """A link that root made elsewhere, which a user may move where the folder is the user's."""
    ground.link("moved", "../outside/loader", owner=0)
    return f"{ground.eve}/moved"


def writable_by_group(ground: Ground) -> str:
    shared = ground.root / "shared"
    shared.mkdir()
    os.chown(shared, 0, EVE)
    shared.chmod(0o775)
    (shared / "ca.crt").symlink_to(ground.outside / "loader")
    return f"{shared}/ca.crt"


def writable_by_list(ground: Ground) -> str:
    shared = ground.root / "shared"
    shared.mkdir(mode=0o755)
    listed(shared, "access")
    (shared / "ca.crt").symlink_to(ground.outside / "loader")
    return f"{shared}/ca.crt"


def sticky(ground: Ground) -> str:
    shared = ground.root / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "ca.crt").symlink_to(ground.outside / "loader")
    ground.own(shared / "ca.crt")
    return f"{shared}/ca.crt"


def behind_a_folder_of_the_users(ground: Ground) -> str:
    """Root's own link in root's own folder, which a user can exchange as a whole."""
    inner = ground.eve / "inner"
    inner.mkdir(mode=0o755)
    (inner / "ca.crt").symlink_to(ground.outside / "loader")
    return f"{inner}/ca.crt"


def pipe(ground: Ground) -> str:
    os.mkfifo(ground.eve / "pipe")
    ground.own(ground.eve / "pipe")
    return f"{ground.eve}/pipe"


def listening(ground: Ground) -> str:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{ground.eve}/s")
    ground.own(ground.eve / "s")
    return f"{ground.eve}/s"


def below(ground: Ground, path: Path) -> str:
    return f"{path}/ca.crt"


def beside_a_pipe(ground: Ground) -> str:
    """The name under which a file is written first is a pipe, which nothing reads."""
    os.mkfifo(ground.eve / ".ca.crt.hardener~")
    return f"{ground.eve}/ca.crt"


def beside_a_folder(ground: Ground) -> str:
    (ground.folder(".ca.crt.hardener~") / "full").write_text("x")
    return f"{ground.eve}/ca.crt"


TRICKS: dict[str, Callable[[Ground], str]] = {
    "a chain of 3": lambda ground: chain(ground, 3),
    "a chain of 39": lambda ground: chain(ground, 39),
    "a chain of 60": lambda ground: chain(ground, 60),
    "a ring": ring,
    "itself": lambda ground: str(ground.link("self", "self")),
    "relative": lambda ground: str(ground.link("x", "../outside/loader")),
    "by way of here": lambda ground: str(
        ground.link("x", "./.././../" + f"{ground.root.name}/outside/loader")
    ),
    "many slashes": lambda ground: str(ground.link("x", f"//{'/' * 50}{ground.outside}///loader")),
    "by the root of a process": lambda ground: str(
        ground.link("x", f"/proc/self/root{ground.outside}/loader")
    ),
    "by a folder of a process": lambda ground: str(ground.link("x", "/proc/self/cwd")),
    "by an open file": lambda ground: str(ground.link("x", "/proc/self/fd/0")),
    "by /dev/stdin": lambda ground: str(ground.link("x", "/dev/stdin")),
    "to a device": lambda ground: str(ground.link("x", "/dev/full")),
    "to a folder": lambda ground: str(ground.link("x", ground.outside)),
    "behind a folder": lambda ground: below(ground, ground.link("x", ground.outside / "inner")),
    "behind a folder of a process": lambda ground: below(
        ground, ground.link("x", f"/proc/self/root{ground.outside}/inner")
    ),
    "to nothing": lambda ground: str(ground.link("x", ground.outside / "missing")),
    "to nothing behind a folder": lambda ground: f"{ground.link('x', ground.outside)}/missing",
    "the longest target": lambda ground: str(ground.link("x", f"{ground.outside}/" + "./" * 1900 + "loader")),
    "a link of root's that was moved": roots_link_moved,
    "a folder that a group may write to": writable_by_group,
    "a folder that a list lets the user write to": writable_by_list,
    "a sticky folder": sticky,
    "root's folder in the user's": behind_a_folder_of_the_users,
    "a pipe": pipe,
    "below a pipe": lambda ground: f"{pipe(ground)}/ca.crt",
    "a socket": listening,
    "below a file": lambda ground: below(ground, ground.file("x")),
    "the longest name": lambda ground: f"{ground.eve}/{'x' * 255}",
    "too long a name": lambda ground: f"{ground.eve}/{'x' * 256}",
    "a name with a line in it": lambda ground: str(ground.link("a\nb\x1b[2J", ground.outside / "loader")),
    "a first name that is a pipe": beside_a_pipe,
    "a first name that is a full folder": beside_a_folder,
}
KINDS: dict[str, dict[str, Any]] = {
    "attributes": {"kind": "attributes", "owner": "root", "group": "root", "at_most": "0444"},
    "file": {"kind": "file", "content": "new", "mode": "0600"},
}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    (tmp_path / "ground").mkdir(mode=0o755)
    return Ground(tmp_path / "ground")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trick", TRICKS)
def test_a_path_redirected_by_a_user_is_skipped_and_the_others_are_changed(
    host: Host, ground: Ground, trick: str, kind: str
) -> None:
    path = TRICKS[trick](ground)
    before = ground.seen
    documents = (
        {"name": "a", "resources": [{**KINDS[kind], "path": path}]},
        {"name": "b", "resources": [host.file("fine", "new")]},
    )
    with must_end():
        found = host.converge_all(*documents)
    assert ground.seen == before
    assert found["outcome"] in {"changed", "rolled_back", "partly_rolled_back"}, found
    assert Journal.find(host.store) is None
    if found["outcome"] == "changed":
        assert host.read("fine") == "new"
        history.back_to(host.store, before="", who="me", check=False)
        assert ground.seen == before
    assert not Path(host.path("fine")).exists()
    text = str(found)
    assert "\x1b[" not in text
    assert "defect in hardener" not in text


@pytest.mark.parametrize("path", ["x/../loader", "x//ca.crt", "./x", "x/", "x/."])
def test_a_path_that_is_not_plain_is_refused_before_any_change(host: Host, ground: Ground, path: str) -> None:
    ground.link("x", ground.outside / "inner")
    before = ground.seen
    with pytest.raises(Refused, match="normalised path"):
        host.converge({**KINDS["file"], "path": f"{ground.eve}/{path}"}, host.file("fine", "new"))
    assert ground.seen == before
    assert not Path(host.path("fine")).exists()


@pytest.mark.parametrize("mode", ["0600", "0640", "0644"])
def test_the_default_acl_of_a_users_folder_is_not_inherited(host: Host, ground: Ground, mode: str) -> None:
    listed(ground.eve, "default")
    secret = ground.eve / "key"
    done = host.converge({"kind": "file", "path": str(secret), "content": "secret", "mode": mode})
    if done["outcome"] != "changed":
        assert not secret.exists()
        return
    assert secret.stat().st_mode & 0o7777 == int(mode, 8)
    names = os.listxattr(secret)
    assert "system.posix_acl_access" not in names, os.getxattr(secret, "system.posix_acl_access")


def test_the_group_of_a_setgid_folder_is_not_inherited(host: Host, ground: Ground) -> None:
    ground.eve.chmod(0o2755)
    done = host.converge({"kind": "file", "path": f"{ground.eve}/key", "content": "secret", "mode": "0640"})
    assert done["outcome"] == "changed"
    status = (ground.eve / "key").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o640)
