from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan.layers import Layers

from tests.unit.handles import handles


def layer(folder: Path, files: Mapping[str, str | Path | None]) -> str:
    """A layer with files, links (a path) and whiteouts (None)."""
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_text(content)
    return str(folder)


def test_a_file_is_read_from_the_topmost_layer_that_has_it(tmp_path: Path) -> None:
    top = layer(tmp_path / "top", {"etc/os-release": "new"})
    base = layer(tmp_path / "base", {"etc/os-release": "old", "etc/passwd": "root"})
    files = Layers([top, base])
    assert files.read("/etc/os-release") == b"new"
    assert files.read("/etc/passwd") == b"root"
    assert files.names("/etc") == ["os-release", "passwd"]
    assert files.read("/etc") is None
    assert files.names("/nothing/here") == []
    assert files.read("/etc/passwd/below") is None


def test_deleted_files_are_hidden(tmp_path: Path) -> None:
    top = layer(tmp_path / "top", {"a/one": None, "b": None})
    base = layer(tmp_path / "base", {"a/one": "1", "a/two": "2", "b/three": "3"})
    files = Layers([top, base])
    assert files.names("/a") == ["two"]
    assert files.read("/a/one") is None
    assert files.read("/b/three") is None


def test_a_recreated_folder_hides_the_lower_one(tmp_path: Path) -> None:
    top = layer(tmp_path / "top", {"a/new": "1"})
    os.setxattr(f"{top}/a", "user.overlay.opaque", b"y")
    base = layer(tmp_path / "base", {"a/old": "2"})
    files = Layers([top, base])
    assert files.names("/a") == ["new"]
    assert files.read("/a/old") is None


def test_a_file_hides_a_folder_of_lower_layers(tmp_path: Path) -> None:
    layers = [layer(tmp_path / "0", {"a/x": "0"}), layer(tmp_path / "1", {"a": "file"})]
    files = Layers([*layers, layer(tmp_path / "2", {"a/y": "2"})])
    assert files.names("/a") == ["x"]
    assert Layers(layers[1:]).read("/a") == b"file"


@pytest.mark.parametrize(
    "target",
    [
        "../usr/lib/os-release",
        "/usr/lib/os-release",
        "../../../../usr/lib/os-release",
        "/usr//lib/./os-release",
    ],
)
def test_links_are_resolved_within_the_image(tmp_path: Path, target: str) -> None:
    (tmp_path / "top" / "etc").mkdir(parents=True)
    subprocess.run(["ln", "-s", target, tmp_path / "top" / "etc" / "os-release"], check=True)
    base = layer(tmp_path / "base", {"usr/lib/os-release": "inside"})
    assert Layers([str(tmp_path / "top"), base]).read("/etc/os-release") == b"inside"


def test_hostile_links_do_not_leave_the_image(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    base = layer(
        tmp_path / "base",
        {
            "etc": secret.parent,
            "var": Path("var"),
            "up": Path("../" * 60 + str(secret).lstrip("/")),
            "a": Path("b"),
        },
    )
    (tmp_path / "base/b").symlink_to("a")
    files = Layers([base])
    assert files.read("/etc/secret") is None
    assert files.read("/up") is None
    assert files.read("/var/lib/dpkg/status") is None
    assert files.read("/a") is None
    assert files.names("/etc") == []


def test_special_files_are_not_read(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"var/x": "1"})
    os.mkfifo(f"{base}/var/pipe")
    assert Layers([base]).read("/var/pipe") is None


def test_redirected_overlay_folders_are_an_error(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"a/x": "1", "b": "2"})
    os.setxattr(f"{base}/a", "user.overlay.redirect", b"/c")
    os.setxattr(f"{base}/b", "user.overlay.metacopy", b"")
    with pytest.raises(Failed, match="overlayfs redirects"):
        Layers([base]).read("/a/x")
    with pytest.raises(Failed, match="overlayfs stored only its metadata there"):
        Layers([base]).read("/b")


def test_a_missing_layer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="in a layer"):
        Layers([str(tmp_path / "gone")]).read("/etc/os-release")


def test_every_descriptor_is_closed(tmp_path: Path) -> None:
    layers = [layer(tmp_path / str(number), {"a/b/c": "x"}) for number in range(20)]
    before = handles(f"{tmp_path}/")
    files = Layers(layers)
    files.read("/a/b/c")
    files.names("/a/b")
    assert not handles(f"{tmp_path}/") - before
