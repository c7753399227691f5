"""Keys in daemon.json for the time of a restart: the file is as before afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.temporary_keys import TemporaryKeys
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic

from tests.unit.plugins.module_utils.converge.host import Host


@pytest.mark.parametrize("before", [None, '{\n\t"live-restore": false, "debug": true}'])
def test_after_temporary_keys_the_file_has_its_former_content_and_modification_time(
    host: Host, before: str | None
) -> None:
    path = host.folder / "daemon.json"
    if before is not None:
        host.write("daemon.json", before)
        os.utime(path, (1, 1))
    announced: list[bytes] = []
    with TemporaryKeys(str(path), announced.append) as temporary:
        temporary.write({"live-restore": True, "debug": False})
        # Only live-restore replaces what the file says.
        assert json.loads(path.read_text()) == {"live-restore": True, "debug": before is not None}
        assert announced == [path.read_bytes()]
    if before is None:
        assert not path.exists()
    else:
        assert (path.read_text(), path.stat().st_mtime) == (before, 1)


LATER = ("nothing", "a file of another program", "it is removed", "a link is there")


@pytest.mark.parametrize("later", LATER)
def test_a_missing_folder_exists_for_the_time_of_the_keys_only(host: Host, later: str) -> None:
    folder = host.folder / "etc" / "docker"
    neighbour = host.folder / "daemon.json"
    neighbour.write_text("of another program")  # in the last folder that exists
    with TemporaryKeys(str(folder / "daemon.json"), lambda _: None) as temporary:
        assert not folder.exists()
        for live in (True, False):
            temporary.write({"live-restore": live})
            assert json.loads((folder / "daemon.json").read_text()) == {"live-restore": live}
        _change(folder, later)
    kept = {"a file of another program": ["docker", "key.json"], "a link is there": ["docker"]}.get(later, [])
    found = (host.folder / "etc").rglob("*") if (host.folder / "etc").exists() else ()
    assert sorted(path.name for path in found) == kept
    assert neighbour.read_text() == "of another program"


def _change(folder: Path, how: str) -> None:
    if how == "a file of another program":
        (folder / "key.json").touch()
    elif how != "nothing":
        (folder / "daemon.json").unlink()
        folder.rmdir()
        if how == "a link is there":
            folder.symlink_to(folder.parent)


def test_keys_that_cannot_be_written_remove_no_other_file(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("daemon.json", "of another program")
    monkeypatch.setattr(atomic, "make_folder", _refuse)
    with (
        pytest.raises(PermissionError),
        TemporaryKeys(host.path("etc/docker/daemon.json"), lambda _: None) as temporary,
    ):
        temporary.write({"live-restore": True})
    assert host.read("daemon.json") == "of another program"


def _refuse(path: str) -> None:
    raise PermissionError(path)
