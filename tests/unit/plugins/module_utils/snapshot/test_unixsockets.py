"""Listening Unix sockets, whatever has become of their files."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import unixsockets

from tests.leftovers import scratch


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch("sockets") as path:
        yield path


def bound(name: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    return server


def test_a_socket_is_found_by_its_file(folder: Path) -> None:
    with bound(f"{folder}/a") as server:
        number = os.fstat(server.fileno()).st_ino
        found = unixsockets.listening()[number]
        status = (folder / "a").stat()
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        assert (found.name, found.device, found.file) == (f"{folder}/a", device, status.st_ino)
        assert found.path() == f"{folder}/a"
        told = {
            "path": f"{folder}/a",
            "name": f"{folder}/a",
            "process": "x",
            "dev": device,
            "ino": found.file,
        }
        assert unixsockets.described(found, "x") == told
        (folder / "a").rename(folder / "b")
        assert unixsockets.listening()[number].path() is None
        (folder / "a").touch()
        assert unixsockets.described(unixsockets.listening()[number], "x") == {**told, "path": None}


def test_a_socket_without_a_file_is_found(folder: Path) -> None:
    with bound(f"\0{folder}/a") as server:
        found = unixsockets.listening()[os.fstat(server.fileno()).st_ino]
        assert unixsockets.described(found, "x") == {
            "path": f"@{folder}/a",
            "name": f"@{folder}/a",
            "process": "x",
            "dev": "",
            "ino": 0,
        }


def test_sockets_that_do_not_listen_are_left_out(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/a")
        assert os.fstat(server.fileno()).st_ino not in unixsockets.listening()


def test_moved_and_hard_linked_sockets_are_found_in_searched_folders(folder: Path) -> None:
    deep = folder / "in/to/it"
    deep.mkdir(parents=True)
    with bound(f"{folder}/a"), bound(f"{folder}/b"):
        os.link(folder / "a", deep / "linked")
        (folder / "b").rename(deep / "moved")
        (deep / "too/deep").mkdir(parents=True)
        os.link(folder / "a", deep / "too/deep/a")
        found = unixsockets.renamed([str(folder)], unixsockets.listening().values())
        assert sorted(found) == [f"{deep}/linked", f"{deep}/moved"]


def test_a_file_with_the_inode_of_a_socket_is_not_taken_for_the_socket(folder: Path) -> None:
    with bound(f"{folder}/a"):
        (listens,) = (each for each in unixsockets.listening().values() if each.name == f"{folder}/a")
        (folder / "a").rename(folder / "moved")
        assert unixsockets.renamed([str(folder)], [listens]) == [f"{folder}/moved"]
        elsewhere = unixsockets.UnixSocket(listens.name, "0:1", listens.file)
        assert unixsockets.renamed([str(folder)], [elsewhere]) == []
        assert unixsockets.renamed([str(folder)], [listens, elsewhere]) == [f"{folder}/moved"]
        (folder / "plain").touch()
        status = (folder / "plain").stat()
        plain = unixsockets.UnixSocket(listens.name, listens.device, status.st_ino)
        assert unixsockets.renamed([str(folder)], [plain]) == []


def test_the_search_for_other_names_ends_at_its_limit(folder: Path) -> None:
    for number in range(unixsockets.MAX_ENTRIES):
        (folder / f"{number}").touch()
    (folder / "x").mkdir()
    with bound(f"{folder}/a"):
        os.link(folder / "a", folder / "x/b")
        # The folder's own entries alone are too many.
        assert unixsockets.renamed([str(folder)], unixsockets.listening().values()) == []
        assert unixsockets.renamed([f"{folder}/x"], unixsockets.listening().values()) == [f"{folder}/x/b"]


def test_the_file_systems_of_sockets_are_searched_first(folder: Path) -> None:
    """Ten folders of another file system use up what is searched at most."""
    with scratch("other", parent=Path("/dev/shm")) as other, bound(f"{folder}/a"):
        if other.stat().st_dev == folder.stat().st_dev:
            pytest.skip("/dev/shm is on the file system of the temporary folder")
        many = [other / f"{number}" for number in range(10)]
        for each in many:
            each.mkdir()
            for number in range(unixsockets.MAX_ENTRIES):
                (each / f"{number}").touch()
        (folder / "x").mkdir()
        (folder / "a").rename(folder / "x/b")
        tops = [*map(str, many), f"{folder}/x"]
        listening = unixsockets.listening().values()  # other programs may listen in /dev/shm
        own = [each for each in listening if each.name == f"{folder}/a"]
        assert unixsockets.renamed(tops, own) == [f"{folder}/x/b"]
