from __future__ import annotations

import io
import tarfile
from typing import Any
from urllib.parse import unquote

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NotFound
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan.archive import (
    ArchiveFiles,
    remove_leftovers,
)

FOLDER = "/var/lib/dpkg/status.d"


class FakeEngine:
    """An engine with an image of these entries: a text is a file, a member what it says itself."""

    def __init__(self, **files: str | tarfile.TarInfo) -> None:
        self.files = files
        self.listed: list[dict[str, Any]] = []
        self.there = True
        self.removed: list[str] = []

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if method == "DELETE":
            if not self.there:
                raise NotFound("No such container")
            self.removed.append(path.split("/")[2].partition("?")[0])
        return self.listed if path.startswith("/containers/json") else {"Id": "made"}

    def ask(self, method: str, path: str, *, limit: int) -> bytes:
        asked = unquote(path.partition("path=")[2])
        if not self.there or asked not in (FOLDER, f"{FOLDER}/link"):
            raise NotFound("Could not find the file")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, entry in self.files.items():
                if asked == FOLDER:
                    _add(tar, f"status.d/{name}", entry)
                elif name == "link":
                    _add(tar, name, entry)
        return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, entry: str | tarfile.TarInfo) -> None:
    member = tarfile.TarInfo(name) if isinstance(entry, str) else entry.replace(name=name)
    content = entry.encode() if isinstance(entry, str) else b""
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def member(kind: bytes, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo()
    made.type, made.linkname = kind, target
    return made


def reading(engine: Any) -> ArchiveFiles:
    return ArchiveFiles(engine, "sha256:x")


def test_hard_and_symbolic_links_are_resolved() -> None:
    engine = FakeEngine(
        a="one",
        hard=member(tarfile.LNKTYPE, "status.d/a"),
        link=member(tarfile.SYMTYPE, "a"),
        pipe=member(tarfile.FIFOTYPE, ""),
    )
    with reading(engine) as files:
        assert files.names(FOLDER) == ["a", "hard", "link"]
        assert [files.read(f"{FOLDER}/{name}") for name in ("a", "hard", "link")] == [b"one"] * 3
    assert engine.removed == ["made"]


def test_a_link_to_an_undecodable_name_is_not_followed() -> None:
    with reading(FakeEngine(link=member(tarfile.SYMTYPE, "\udcff"))) as files:
        assert files.read(f"{FOLDER}/link") is None


def test_a_link_to_a_missing_member_is_an_error() -> None:
    with (
        pytest.raises(Failed, match="cannot be read"),
        reading(FakeEngine(hard=member(tarfile.LNKTYPE, "elsewhere"))) as files,
    ):
        files.names(FOLDER)


def test_a_container_removed_meanwhile_is_an_error() -> None:
    engine = FakeEngine(a="one")
    files = reading(engine).__enter__()
    engine.there = False
    assert files.names(FOLDER) == []
    with pytest.raises(Failed, match="removed meanwhile"):
        files.__exit__(None, None, None)


def test_only_containers_of_a_scan_are_removed() -> None:
    engine: Any = FakeEngine()
    engine.listed = [
        {"Id": "mine", "Names": ["/hardener-scan-0123"]},
        {"Id": "of an image with the label", "Names": ["/web"]},
    ]
    remove_leftovers(engine)
    assert engine.removed == ["mine"]
