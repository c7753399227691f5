"""The folder of a site: what it writes, leaves alone, removes and refuses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.site.folder import LIST, SiteFolder, Written


def made(path: Path, pages: Mapping[str, str], key: str = "k") -> Written:
    """A run that writes these files."""
    with SiteFolder(path) as folder:
        for name, text in pages.items():
            folder.write(name, text, key)
        return folder.finish()


def files(path: Path) -> dict[str, str]:
    """All files of a folder but the list."""
    found = (each for each in path.rglob("*") if each.is_file() and each.name != LIST)
    return {each.relative_to(path).as_posix(): each.read_text() for each in found}


def test_unchanged_files_are_not_written(tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert made(out, {"a.html": "1", "x/y/b.html": "2", "x/c.html": "3"}) == Written(3, 3, 0)
    before = {each: each.stat() for each in out.rglob("*.html")}
    assert made(out, {"a.html": "1", "x/y/b.html": "new", "x/c.html": "3"}) == Written(3, 1, 0)
    for path, was in before.items():
        now = path.stat()
        assert ((now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)) == (path.name != "b.html")


def test_obsolete_files_are_removed_with_empty_folders(tmp_path: Path) -> None:
    made(tmp_path, {"a.html": "1", "x/y/b.html": "2", "z/c.html": "3"})
    (tmp_path / "z" / "robots.txt").write_text("of the user")
    assert made(tmp_path, {"a.html": "1"}) == Written(1, 0, 2)
    assert files(tmp_path) == {"a.html": "1", "z/robots.txt": "of the user"}
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["index.html", ".htaccess", "folder"])
def test_a_folder_with_foreign_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("x")
    with pytest.raises(HardenerError, match="holds files that `hardener report site` did not write"):
        SiteFolder(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'["a.html","k",1]\n'])
def test_an_invalid_list_of_the_sites_files_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LIST).write_bytes(content)
    with pytest.raises(HardenerError, match="is not a list that `hardener report site` wrote"):
        SiteFolder(tmp_path)


def test_a_list_that_is_a_link_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "site", {})
    (tmp_path / "site" / LIST).rename(tmp_path / "elsewhere")
    (tmp_path / "site" / LIST).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HardenerError, match="cannot write"):
        SiteFolder(tmp_path / "site")


@pytest.mark.parametrize(
    "path", ["../outside.html", "/etc/outside.html", "x/../../outside.html", ".x", "x//y", ""]
)
def test_paths_in_the_list_never_lead_outside(tmp_path: Path, path: str) -> None:
    outside = tmp_path / "outside.html"
    outside.write_text("of others")
    site = tmp_path / "site"
    made(site, {"x/a.html": "1"})
    with (site / LIST).open("a") as file:
        file.write(f'["{path}","k",9]\n')
    made(site, {"x/a.html": "1"})
    assert outside.read_text() == "of others"
    with (
        SiteFolder(site) as folder,
        pytest.raises(ValueError, match="is not a path that `hardener report site` writes"),
    ):
        folder.write(path, "text")


def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("1")
    site = tmp_path / "site"
    made(site, {"a.html": "1"})
    (site / "a.html").unlink()
    (site / "a.html").symlink_to(outside)
    with SiteFolder(site) as folder:
        assert not folder.keep("a.html", "k")
    assert made(site, {"a.html": "2"}) == Written(1, 1, 0)
    assert (outside.read_text(), (site / "a.html").is_symlink()) == ("1", False)


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.html").write_text("of others")
    site = tmp_path / "site"
    made(site, {"x/a.html": "1", "x/b.html": "1"})
    for each in (site / "x").iterdir():
        each.unlink()
    (site / "x").rmdir()
    (site / "x").symlink_to(outside)
    with pytest.raises(HardenerError, match=r"x/a\.html"):
        made(site, {"x/a.html": "2"})
    made(site, {})  # nor is a file behind it removed
    assert files(outside) == {"a.html": "of others"}


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_folder_in_place_of_a_file_is_an_error_and_a_pipe_is_replaced(tmp_path: Path, kind: str) -> None:
    made(tmp_path, {})
    if kind == "pipe":
        os.mkfifo(tmp_path / "a.html")
        assert made(tmp_path, {"a.html": "1"}) == Written(1, 1, 0)
    else:
        (tmp_path / "a.html").mkdir()
        with pytest.raises(HardenerError, match=r"cannot write .*a\.html"):
            made(tmp_path, {"a.html": "1"})


def test_files_that_a_killed_run_wrote_are_known_to_the_next_run(tmp_path: Path) -> None:
    made(tmp_path, {"a.html": "1", "b.html": "1"})
    with SiteFolder(tmp_path) as folder:
        folder.write("a.html", "2", "new")
        folder.write("c.html", "2", "new")
    assert files(tmp_path) == {"a.html": "2", "b.html": "1", "c.html": "2"}
    with (tmp_path / LIST).open("a") as file:
        file.write('["torn')
    (tmp_path / ".hardener-0123.part").write_text("half")
    with SiteFolder(tmp_path) as folder:
        assert folder.keys("") == {"a.html": "new", "b.html": "k", "c.html": "new"}
        assert folder.keep("c.html", "new")
        assert folder.finish() == Written(1, 0, 2)
    assert sorted(each.name for each in tmp_path.iterdir()) == [LIST, "c.html"]


def test_a_file_that_was_changed_or_removed_is_written_again(tmp_path: Path) -> None:
    made(tmp_path, {"a.html": "text", "b.html": "text"})
    (tmp_path / "a.html").write_text("longer text")
    (tmp_path / "b.html").unlink()
    with SiteFolder(tmp_path) as folder:
        assert [folder.keep(name, "k") for name in ("a.html", "b.html", "never.html")] == [False] * 3


def test_two_runs_cannot_write_at_once(tmp_path: Path) -> None:
    with SiteFolder(tmp_path / "site"), pytest.raises(HardenerError, match="another run writes the site"):
        SiteFolder(tmp_path / "site")
    SiteFolder(tmp_path / "site").close()


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)])
def test_files_get_the_read_permissions_of_the_folder(tmp_path: Path, folder: int, file: int) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site").chmod(folder)
    made(tmp_path / "site", {"x/a.html": "1"})
    assert (tmp_path / "site" / "x" / "a.html").stat().st_mode & 0o777 == file
    assert (tmp_path / "site" / "x").stat().st_mode & 0o777 == folder


def test_a_new_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    made(tmp_path / "new", {"a.html": "1"})
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HardenerError, match="cannot write"):
        SiteFolder(tmp_path / "file")
