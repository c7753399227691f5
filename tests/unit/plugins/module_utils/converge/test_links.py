"""Links and folders that another user puts in root's way, at rest and swapped in a loop."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import files
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.files import NOTHING
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.host.trees import EVE
from tests.unit.plugins.module_utils.traps import PATIENCE, Trap, race, swapping

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


@pytest.fixture
def swapped(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    """The trap, with a process that exchanges names in it for as long as the test runs."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk would be most of the time, and no part of it
    with swapping(trap):
        yield trap


# --- at rest ------------------------------------------------------------------------------------------------


def tight(path: str) -> dict[str, object]:
    return {"kind": "attributes", "path": path, "owner": "root", "group": "root", "at_most": "0444"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ca.crt.link", f"ca.crt.link: this symbolic link belongs to uid {EVE}"),
        ("folder.link/ca.crt", f"folder.link: this symbolic link belongs to uid {EVE}"),
        (
            "hard.link",
            "hard.link: this file has 2 hard links and is in a folder where",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["attributes", "file", "json", "lines", "absent"])
def test_a_document_for_a_path_that_a_user_redirects_is_refused(
    host: Host, trap: Trap, name: str, reason: str, kind: str
) -> None:
    path = f"{trap.eve}/{name}"
    wishes: dict[str, dict[str, object]] = {
        "attributes": tight(path),
        "file": {"kind": "file", "path": path, "content": "new"},
        "json": {"kind": "json", "path": path, "keys": {"icc": False}},
        "lines": {"kind": "lines", "path": path, "lines": ["new"]},
        "absent": {"kind": "absent", "path": path},
    }
    fine = host.file("fine", "new")
    found = host.converge_all({"name": "a", "resources": [wishes[kind]]}, {"name": "b", "resources": [fine]})
    assert host.read("fine") == "new"  # one user's link does not keep the rest from being done
    (refused,) = [each for each in found["documents"] if each["name"] == "a"]
    assert refused["state"] == "refused"
    assert reason in refused["reason"]
    assert "remove it, or " in refused["reason"]
    assert trap.untouched


def test_a_file_of_a_user_gets_the_owner_root(host: Host, trap: Trap) -> None:
    done = host.converge(tight(f"{trap.eve}/ca.crt"), tight(f"{trap.eve}/folder"))
    assert done["outcome"] == "changed"
    assert (trap.eve / "ca.crt").stat().st_mode & 0o7777 == 0o444
    assert (trap.eve / "folder").stat().st_uid == 0


def test_a_users_setuid_program_loses_the_bit_before_root_owns_it(host: Host, trap: Trap) -> None:
    (trap.eve / "ca.crt").chmod(0o6755)
    host.converge({**tight(f"{trap.eve}/ca.crt"), "at_most": "7777"})
    status = (trap.eve / "ca.crt").stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o755)


def test_a_link_of_root_to_a_device_does_not_change_the_device(host: Host, tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    before = (tmp_path / "null").stat().st_mode
    (tmp_path / "link").symlink_to("null")
    found = host.converge_all(
        {"name": "a", "resources": [tight(host.path("link"))]},
        {"name": "b", "resources": [host.file("x", "1")]},
    )
    assert "the path is a device" in str(found["refused"])
    assert (tmp_path / "null").stat().st_mode == before


@pytest.mark.parametrize("name", ["ca.crt", "folder/ca.crt", "folder/later"])
def test_a_rollback_skips_paths_that_a_user_has_redirected(
    host: Host, trap: Trap, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    host.write("other", "old")
    path = f"{trap.eve}/{name}"
    changes = host.plan(host.file("other", "new"), {"kind": "file", "path": path, "content": "new"}).changes
    host.store.make()
    run = host.store.new_run()
    host.store.back_up(run, changes)
    for change in changes:
        files.put(change.path, change.before, change.after)
    first = name.partition("/")[0]
    (trap.eve / first).rename(trap.eve / "aside")
    (trap.eve / f"{first}.link").rename(trap.eve / first)
    notes, problems = host.store.restore(run, [])
    assert (host.read("other"), problems) == ("old", {})
    assert notes == [f"{path} was changed by others meanwhile, and stays as it is"]
    assert trap.untouched


@pytest.mark.parametrize("name", ["folder.link/ca.crt", "hard.link"])
def test_a_path_that_a_user_has_redirected_since_it_was_resolved_is_refused(trap: Trap, name: str) -> None:
    with pytest.raises(Refused, match=r"hard links|belongs to uid"):
        files.obstacle(f"{trap.eve}/{name}", replaced=True)


# --- swapped in a loop --------------------------------------------------------------------------------------


def test_attributes_are_set_only_on_the_inspected_object_if_a_user_swaps_paths(swapped: Trap) -> None:
    turn = [0]

    def attempt(path: str) -> None:
        turn[0] += 1
        real = files.real_path(path)
        before = files.read(real)
        files.put(real, before, before._replace(mode=0o400 + turn[0] % 64, uid=EVE + 1, gid=EVE + 1))

    race(swapped, attempt)


def test_content_is_written_only_into_the_inspected_folder_if_a_user_swaps_paths(swapped: Trap) -> None:
    turn = [0]

    def attempt(path: str) -> None:
        turn[0] += 1
        real = files.real_path(path)
        before = files.read(real)
        files.put(real, before, before._replace(kind="file", content=f"new {turn[0]}".encode(), mode=0o644))

    race(swapped, attempt)


def test_an_entry_is_removed_only_from_the_inspected_folder_if_a_user_swaps_paths(swapped: Trap) -> None:
    def attempt(path: str) -> None:
        real = files.real_path(path)
        before = files.read(real)
        files.put(real, before, NOTHING if before.exists else files.own(b"again"))

    race(swapped, attempt)


def test_files_outside_of_the_users_folder_are_not_read_if_a_user_swaps_paths(swapped: Trap) -> None:
    def attempt(path: str) -> None:
        content = files.read(files.real_path(path)).content
        assert content is None or b"root's" not in content

    race(swapped, attempt)


def test_files_outside_of_the_users_folder_are_not_changed_by_runs_and_rollbacks(
    host: Host, swapped: Trap
) -> None:
    ended: Counter[str] = Counter()
    paths = [f"{swapped.eve}/{name}" for name in ("ca.crt", "folder/ca.crt", "folder/later", "hard")]
    host.store.make()
    deadline = time.monotonic() + PATIENCE
    while (ended["restored"] < 20 or ended["refused"] < 5) and time.monotonic() < deadline:
        number = ended.total()
        swapped.set()
        try:
            changes = host.plan({"kind": "file", "path": paths[number % 4], "content": "new"}).changes
            run = host.store.new_run()
            host.store.back_up(run, changes)
        except (Refused, OSError):
            ended["refused"] += 1
            continue
        try:
            for change in changes:
                files.put(change.path, change.before, change.after)
            ended["done"] += 1
        except OSError:
            ended["failed"] += 1
        _, problems = host.store.restore(run, [])
        ended["restored"] += 1
        # A name that is swapped in this very moment may be gone; what is refused is none of them.
        assert not [each for each in problems.values() if "symbolic link" in each or "names" in each]
    assert swapped.untouched
    assert min(ended["refused"], ended["restored"]) >= 5, ended


def test_files_outside_of_the_users_folder_are_not_changed_by_a_transaction(
    host: Host, swapped: Trap
) -> None:
    ended: Counter[str] = Counter()
    for number in range(12):
        swapped.set()
        try:
            done = host.converge(tight(f"{swapped.eve}/ca.crt"), host.file("x", str(number)))
            ended[done["outcome"]] += 1
        except Refused:
            ended["refused"] += 1
        assert Journal.find(host.store) is None
    assert swapped.untouched
    assert set(ended) <= {"changed", "refused", "rolled_back", "partly_rolled_back"}, ended
