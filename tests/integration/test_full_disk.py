"""A run is rolled back though the disk has no byte and no inode left by then."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    departure,
    documents,
    files,
    guard,
    guard_main,
    rollback,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from tests.integration.converging import mounted
from tests.leftovers import scratch
from tests.unit.plugins.module_utils.converge.guarded import (
    TOKEN,
    Systemd,
    change,
    let_time_pass,
    no_engine,
    no_look,
    start,
)
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import tree

PAGE = 4096


@pytest.fixture
def small() -> Iterator[Path]:
    """Where the host is: a disk of 1 MB and 100 inodes."""
    with scratch("disk") as folder, mounted(folder / "disk", "size=1m,nr_inodes=100") as disk:
        yield disk


@pytest.fixture
def host(small: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(small)
    no_engine(monkeypatch)
    no_look(found, monkeypatch)
    monkeypatch.setattr(documents.Resource, "uid", lambda *_: os.geteuid())
    monkeypatch.setattr(documents.Resource, "gid", lambda *_: os.getegid())
    return found


@pytest.fixture
def systemd(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd.instead(tmp_path_factory.mktemp("systemd"), monkeypatch)


def use_up(folder: Path, what: str) -> None:
    """Leave no byte, or no inode, or neither."""
    if what in ("bytes", "both"):
        with suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(PAGE))
    if what in ("inodes", "both"):
        with suppress(OSError):
            for number in itertools.count():
                (folder / f"inode{number}").touch()
    with pytest.raises(OSError, match="No space left on device"):
        (folder / "more").write_bytes(b"x")


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.endswith("~")]


SIZES = [0, PAGE - 1, PAGE, 3 * PAGE]


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize("used_up", ["bytes", "inodes", "both"])
@pytest.mark.parametrize("longer", [1, 0, -1, PAGE])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_restored_on_a_full_disk(
    small: Path, host: Host, used_up: str, size: int, longer: int
) -> None:
    host.write("x", "o" * (size + max(longer, 0)))
    (host.folder / "x").chmod(0o640)
    before = host.read("x")
    run = str(change(host, "n" * (size + max(-longer, 0)))["run"])
    let_time_pass(host)
    use_up(small, used_up)
    guard_main._expired(host.store, run)
    assert host.read("x") == before
    assert (host.folder / "x").stat().st_mode & 0o777 == 0o640
    record = host.store.record(run)
    assert (record["outcome"], record["reason"]) == ("rolled_back", "not confirmed within 180 s")
    assert (Journal.find(host.store), hidden(small)) == (None, [])


def test_the_program_of_the_guard_restores_files_on_a_full_disk(
    small: Path, host: Host, systemd: Systemd
) -> None:
    host.write("x", "o" * 5000)
    change(host)
    let_time_pass(host)
    use_up(small, "both")
    start(systemd.timer())
    assert (host.read("x"), Journal.find(host.store), hidden(small)) == ("o" * 5000, None, [])


def test_a_file_is_rewritten_repeatedly_on_a_full_disk(small: Path, host: Host) -> None:
    """As an engine's configuration is while it is put back, which others have open and have linked."""
    host.write("x", "before")
    (host.folder / "x").chmod(0o644)
    path = host.path("x")
    files.set_aside(path, len("before"))
    use_up(small, "both")
    for number in range(6):
        after = files.read(path)._replace(content=f"{number}\n".encode() * 100)
        files.replace(path, after, reserved=True)
        assert (host.read("x"), (host.folder / "x").stat().st_mode & 0o777) == (f"{number}\n" * 100, 0o644)
        (spare,) = hidden(small)
        assert (spare.stat().st_mode & 0o777, spare.stat().st_nlink) == (0o600, 1)
    files.release(path)
    assert hidden(small) == []


def test_a_hard_link_to_a_replaced_file_keeps_its_content() -> None:
    with (
        scratch("disk", parent=Path("/run")) as place,  # root alone decides what is there
        mounted(place / "disk", "size=1m,nr_inodes=99,mode=755") as folder,
    ):
        one, other = folder / "x", folder / "other"
        one.write_text("before")
        other.hardlink_to(one)
        files.set_aside(str(one), 10)
        use_up(folder, "both")
        files.put(str(one), files.read(str(one)), files.own(b"after"), reserved=True)
        assert (one.read_text(), other.read_text(), hidden(folder)) == ("after", "before", [])


@pytest.mark.parametrize("planted", ["a link", "a hard link", "another user's"])
def test_a_foreign_file_in_place_of_the_reserved_disk_space_is_not_written(
    small: Path, host: Host, planted: str
) -> None:
    host.write("x", "before")
    host.write("precious", "precious")
    spare = host.folder / ".x.reserve.hardener~"
    if planted == "a link":
        spare.symlink_to("precious")
    elif planted == "a hard link":
        spare.hardlink_to(host.folder / "precious")
    else:
        spare.write_text("precious")
        os.chown(spare, 1, 1)
    use_up(small, "both")
    with pytest.raises(OSError, match="No space"):
        files.replace(host.path("x"), files.own(b"after"), reserved=True)
    assert (host.read("x"), host.read("precious")) == ("before", "precious")
    assert spare.read_text() == "precious"


def test_a_run_that_cannot_reserve_disk_space_is_rolled_back(
    small: Path, host: Host, systemd: Systemd
) -> None:
    host.write("x", "o" * 100_000)
    with (small / "others").open("wb") as others:
        # What is left is enough for the backup, the guard and the journal, and not for the room to set aside.
        others.write(bytes(1024 * 1024 - 100_000 * 2 - len(guard._packed()) - 50_000))
    done = change(host)
    assert (done["outcome"], "No space left on device" in done["reason"]) == ("rolled_back", True)
    assert (host.read("x"), hidden(small)) == ("o" * 100_000, [])
    assert list(systemd.units.iterdir()) == []


@pytest.mark.parametrize("used_up", ["bytes", "inodes", "both"])
def test_a_failed_rollback_is_recorded_on_a_full_disk(
    small: Path, host: Host, systemd: Systemd, used_up: str
) -> None:
    host.write("x", "old")
    run = str(change(host)["run"])
    (Path(host.store.backup_folder(run)) / "files" / "0").unlink()
    use_up(small, used_up)
    for _ in range(3):
        journal = Journal.find(host.store)
        assert journal is not None
        assert rollback.finished(host.store, journal, "no ssh")["outcome"] == "rollback_failed"
        record = host.store.record(run)
        assert (record["outcome"], len(record["problems"])) == ("rollback_failed", 1)


def release(host: Host, terms: Terms | None = None) -> dict[str, Any]:
    return Release(host.store, role="", check=False, allow="reload", terms=terms).run()


@pytest.mark.parametrize("used_up", ["bytes", "inodes", "both"])
def test_an_unconfirmed_release_is_rolled_back_on_a_full_disk(
    small: Path, host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, used_up: str
) -> None:
    monkeypatch.setattr(departure, "OWN_FOLDERS", (host.path("own"),))
    monkeypatch.setattr(departure, "PLACES", ())
    monkeypatch.setattr(owners, "OUTSIDE", {})
    for name in ("x", "rewritten", "keys"):
        host.write(name, "{}" if name == "keys" else "before")
    bare = tree(small)
    host.converge(
        host.file("rewritten", "n" * 5000),
        host.file("own/deep/new", "n" * 5000),
        host.json("keys", {"icc": False, "log-opts": {"max-size": "10m"}}),
    )
    hardened = {name: what for name, what in tree(small).items() if not name.startswith("hardener")}
    run = str(release(host, Terms(TOKEN, 180, "me@here"))["run"])
    assert not (small / "own/deep/new").exists()
    let_time_pass(host)
    use_up(small, used_up)
    guard_main._expired(host.store, run)
    assert host.store.record(run)["outcome"] == "rolled_back"
    assert hidden(small) == []
    for path in (*small.glob("inode*"), *small.glob("full"), *small.glob("more")):
        path.unlink()
    assert {name: what for name, what in tree(small).items() if not name.startswith("hardener")} == hardened
    assert release(host)["outcome"] == "changed"
    assert tree(small) == bare
