"""What a user puts in the place of a file between plan, change and rollback, and what is refused for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import files, history
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.host.trees import EVE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")

SECRET = "root's secret"
LEASE = """
import ctypes, fcntl, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # with the process that asked for it: a run's worker ends early
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.pause()
"""


class Lair:
    """A folder of Eve's, in which root keeps files and hardener changes some."""

    def __init__(self, folder: Path) -> None:
        self.outside = folder / "outside"
        self.eve = folder / "eve"
        self.outside.mkdir()
        self.eve.mkdir()
        self.put(self.outside / "shadow", SECRET, 0, 0o400)
        self.put(self.eve / "key.pem", SECRET, 0, 0o400)
        self.put(self.eve / "ca.crt", "eve's", EVE, 0o600)
        self.put(self.eve / "program", "eve's program", EVE, 0o600)
        self.put(self.eve / "setuid", "root's program", 0, 0o4755)
        self.put(self.eve / "conf", SECRET, 0, 0o600)
        self.put(self.eve / "gone", "root's", 0, 0o644)
        os.chown(self.eve, EVE, EVE)
        self.processes: list[subprocess.Popen[str]] = []
        self.sockets: list[socket.socket] = []

    @staticmethod
    def put(path: Path, content: str, uid: int, mode: int) -> None:
        path.write_text(content)
        os.chown(path, uid, uid)
        path.chmod(mode)

    def wishes(self, host: Host) -> list[dict[str, Any]]:
        tight = [self.tight(name) for name in ("ca.crt", "program", "setuid")]
        conf = {"kind": "file", "path": f"{self.eve}/conf", "content": "new"}
        return [*tight, conf, {"kind": "absent", "path": f"{self.eve}/gone"}, host.file("other", "new")]

    def tight(self, name: str) -> dict[str, Any]:
        path = f"{self.eve}/{name}"
        return {"kind": "attributes", "path": path, "owner": "root", "group": "root", "at_most": "0400"}

    def eves(self, name: str) -> Path:
        """A place that is free for Eve, who may remove and rename whatever is in her folder."""
        path = self.eve / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path

    def lease(self, path: Path) -> None:
        holder = subprocess.Popen([sys.executable, "-c", LEASE, path], stdout=subprocess.PIPE, text=True)
        self.processes.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

    def listen(self, path: Path) -> None:
        self.sockets.append(socket.socket(socket.AF_UNIX))
        self.sockets[-1].bind(str(path))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        self.processes.clear()
        for each in self.sockets:
            each.close()

    def secrets(self) -> set[tuple[int, int, int]]:
        """Owner, group and mode of every file that holds the secret, wherever it is by now."""
        self.close()  # a lease would have us wait for 45 seconds
        found = set()
        for path in [*self.outside.parent.rglob("*")]:
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1000:
                status = path.stat()
                if path.read_text() == SECRET:
                    found.add((status.st_uid, status.st_gid, status.st_mode & 0o7777))
        return found


@pytest.fixture
def lair(tmp_path: Path) -> Iterator[Lair]:
    found = Lair(tmp_path)
    yield found
    found.close()


# --- tricks: what is at the name afterwards -----------------------------------------------------------------


def sparse(lair: Lair, name: str) -> None:
    path = lair.eves(name)
    path.touch()
    os.truncate(path, files.MAX_SIZE + 1)
    os.chown(path, EVE, EVE)


def leased(lair: Lair, name: str) -> None:
    path = lair.eves(name)
    lair.put(path, "new", EVE, 0o644)
    lair.lease(path)


def copied(lair: Lair, name: str) -> None:
    lair.put(lair.eves(name), "new", EVE, 0o644)


def folder_of_hers(lair: Lair, name: str) -> None:
    path = lair.eves(name)
    path.mkdir()
    os.chown(path, EVE, EVE)


def her_link(target: str) -> Callable[[Lair, str], None]:
    def trick(lair: Lair, name: str) -> None:
        path = lair.eves(name)
        path.symlink_to(target)
        os.lchown(path, EVE, EVE)

    return trick


NAMES: dict[str, Callable[[Lair, str], object]] = {
    "root's other file, of the same mode": lambda lair, name: (lair.eve / "key.pem").rename(lair.eves(name)),
    "a second name of a file outside": lambda lair, name: os.link(lair.outside / "shadow", lair.eves(name)),
    "a link to a file outside": her_link("../outside/shadow"),
    "a link to itself": her_link("ca.crt"),
    "a link to a device": her_link("/dev/zero"),
    "a link into what blocks": her_link("/proc/kmsg"),
    "a link to standard input": her_link("/proc/self/fd/0"),
    "nothing": lambda lair, name: lair.eves(name),
    "a folder": folder_of_hers,
    "a pipe": lambda lair, name: os.mkfifo(lair.eves(name)),
    "a socket": lambda lair, name: lair.listen(lair.eves(name)),
    "a file too large": sparse,
    "a file with a lease": leased,
    "her copy of what was written": copied,
    "an empty file": lambda lair, name: lair.put(lair.eves(name), "", EVE, 0o400),
}


def replaced(make: Callable[[Lair], object]) -> Callable[[Lair], None]:
    """Eve moves her folder away, and puts something in its place."""

    def trick(lair: Lair) -> None:
        lair.eve.rename(lair.eve.with_name("moved"))
        make(lair)

    return trick


def with_roots_file(lair: Lair) -> None:
    """A new folder, in which the name is another file of root's with the same owner and mode."""
    lair.eve.mkdir()
    os.chown(lair.eve, EVE, EVE)
    (lair.eve.with_name("moved") / "key.pem").rename(lair.eve / "ca.crt")


def exchanged(lair: Lair, one: str, other: str) -> None:
    (lair.eve / one).rename(lair.eve / "between")
    (lair.eve / other).rename(lair.eve / one)
    (lair.eve / "between").rename(lair.eve / other)


def emptied(lair: Lair) -> None:
    for each in lair.eve.iterdir():
        each.unlink()


FOLDERS: dict[str, Callable[[Lair], object]] = {
    "no folder": replaced(lambda _: None),
    "a file for a folder": replaced(lambda lair: lair.put(lair.eve, "eve's", EVE, 0o644)),
    "a pipe for a folder": replaced(lambda lair: os.mkfifo(lair.eve)),
    "a link for a folder": replaced(lambda lair: lair.eve.symlink_to("outside")),
    "another folder": replaced(lambda lair: lair.eve.mkdir()),
    "another folder with root's file": replaced(with_roots_file),
    "two names exchanged": lambda lair: exchanged(lair, "ca.crt", "program"),
    "her program under the name of root's": lambda lair: exchanged(lair, "program", "setuid"),
    "all that is hers is gone": emptied,
}
BESIDE: dict[str, Callable[[Lair, str], object]] = {
    "a folder": folder_of_hers,
    "a link outside": her_link("../outside/shadow"),
    "a second name of a file outside": lambda lair, name: os.link(lair.outside / "shadow", lair.eve / name),
    "a pipe": lambda lair, name: os.mkfifo(lair.eve / name),
}


# --- rolled back later --------------------------------------------------------------------------------------


def later(host: Host, lair: Lair, trick: Callable[[], object]) -> None:
    """Roll a run back after a trick: neither a secret nor a right goes to Eve, and the rest is put back."""
    host.write("other", "old")
    secrets = lair.secrets()
    done = host.converge(*lair.wishes(host))
    assert done["outcome"] == "changed"
    trick()
    check = history.back_to(host.store, before="", who="", check=True)
    assert check["outcome"] == "would_change"
    back = history.back_to(host.store, before="", who="", check=False)
    assert back["outcome"] in ("changed", "partly_rolled_back"), back
    assert host.read("other") == "old"
    assert lair.secrets() <= secrets
    for path in lair.eve.parent.rglob("*"):  # what runs as root is root's program and no other
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o4000:
            assert path.read_text() == "root's program"
    # No guard tries again, and the next run is not kept from its work.
    assert Journal.find(host.store) is None
    assert host.converge(host.file("other", "newer"))["outcome"] == "changed"


@pytest.mark.parametrize("name", ["ca.crt", "conf", "gone"])
@pytest.mark.parametrize("trick", NAMES)
def test_a_later_rollback_skips_paths_that_others_have_replaced(
    host: Host, lair: Lair, name: str, trick: str
) -> None:
    later(host, lair, lambda: NAMES[trick](lair, name))


@pytest.mark.parametrize("trick", FOLDERS)
def test_a_later_rollback_skips_folders_that_others_have_replaced(host: Host, lair: Lair, trick: str) -> None:
    later(host, lair, lambda: FOLDERS[trick](lair))


@pytest.mark.parametrize("trick", BESIDE)
@pytest.mark.parametrize("name", [".conf.hardener~", ".conf.reserve.hardener~"])
def test_an_object_at_the_temporary_name_does_not_stop_a_run(
    host: Host, lair: Lair, name: str, trick: str
) -> None:
    BESIDE[trick](lair, name)
    later(host, lair, lambda: BESIDE[trick](lair, name) if not (lair.eve / name).exists() else None)
    assert (lair.eve / "conf").read_text() == SECRET


def test_owner_and_mode_are_restored_if_the_file_is_the_same(host: Host, lair: Lair) -> None:
    later(host, lair, lambda: None)
    states = {each.name: (each.stat().st_uid, each.stat().st_mode & 0o7777) for each in lair.eve.iterdir()}
    assert states == {
        "ca.crt": (EVE, 0o600),
        "program": (EVE, 0o600),
        "setuid": (0, 0o4755),
        "conf": (0, 0o600),
        "gone": (0, 0o644),
        "key.pem": (0, 0o400),
    }


# --- between the plan and the change ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trick",
    [
        *(pytest.param(lambda lair, do=do: do(lair, "ca.crt"), id=name) for name, do in NAMES.items()),
        *(pytest.param(do, id=name) for name, do in FOLDERS.items()),
    ],
)
def test_a_path_that_is_replaced_after_planning_does_not_end_the_run(
    host: Host, lair: Lair, monkeypatch: pytest.MonkeyPatch, trick: Callable[[Lair], object]
) -> None:
    begin = Journal.begin

    def late(*arguments: Any, **named: Any) -> Journal:
        trick(lair)
        return begin(*arguments, **named)

    secrets = lair.secrets()
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "begin", late)
        done = host.converge(lair.tight("ca.crt"), host.file("other", "new"))
    assert (done["outcome"], host.read("other")) == ("changed", "new")
    assert done["pending"] in (
        [],
        [f"{lair.eve}/ca.crt was changed by others meanwhile, and is left as it is"],
    )
    assert lair.secrets() <= secrets
    assert history.back_to(host.store, before="", who="", check=False)["outcome"] != "rollback_failed"
    assert not (host.folder / "other").exists()
    assert lair.secrets() <= secrets
