from __future__ import annotations

import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hardener.errors import HardenerError, InternalError
from hardener.lab import host
from tests.unit.processes import ended


def with_only(monkeypatch: pytest.MonkeyPatch, *present: str, libarchive: bool = True, uid: int = 0) -> None:
    """Pretend that only these programs are installed."""
    monkeypatch.setattr("shutil.which", lambda name, path: f"/usr/bin/{name}" if name in present else None)
    monkeypatch.setattr(host, "_has_libarchive", lambda: libarchive)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


ALL = tuple(host._PROGRAMS)


def test_the_error_names_one_command_that_installs_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with_only(monkeypatch, "setpriv", "unshare", "mke2fs", libarchive=False)
    with pytest.raises(HardenerError) as caught:
        host.require_tools()
    assert caught.value.hint == (
        "apt-get install --yes libarchive13t64 mmdebstrap openssh-client qemu-system-x86 qemu-utils"
    )
    assert "qemu-system-x86_64" in caught.value.message
    assert "mke2fs" not in caught.value.message


def test_without_missing_packages_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_only(monkeypatch, *ALL)
    host.require_tools()


def test_without_root_subordinate_ids_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_only(monkeypatch, *ALL, uid=1000)
    with pytest.raises(HardenerError, match="apt-get install --yes uidmap"):
        host.require_tools()


def test_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_only(monkeypatch, *ALL)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(HardenerError, match="aarch64"):
        host.require_tools()


def test_the_cache_folder_follows_xdg_cache_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert host.cache_dir() == Path("/var/cache/me/hardener/lab")
    monkeypatch.setenv("HOME", "/home/me")
    for unset in ("", "relative/is/ignored"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert host.cache_dir() == Path("/home/me/.cache/hardener/lab")


@pytest.mark.parametrize("hostile", ["/a b", "/a,readonly=on", "/a%h", '/a"b', "/a\nb", "/a:b", "/$x"])
def test_a_cache_folder_with_special_characters_is_refused(
    monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", hostile)
    with pytest.raises(HardenerError, match="XDG_CACHE_HOME"):
        host.cache_dir()


def test_a_failed_program_is_named_with_its_output() -> None:
    with pytest.raises(InternalError, match=r"ls failed with exit code 2: .*/nonexistent"):
        host.run("ls", "/nonexistent")


def test_a_lock_blocks_other_processes(cache: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with host.lock("x"):
            entered.set()

    with host.lock("x"):
        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.1)
    other.join(60)
    assert entered.is_set()


def test_a_tied_process_dies_with_its_parent() -> None:
    script = """if True:
        import os, pathlib, subprocess
        from hardener.lab import host
        child = subprocess.Popen(host.tied("sleep", "1000"))
        while pathlib.Path(f"/proc/{child.pid}/comm").read_text() != "sleep\\n":
            pass
        print(child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    parent = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    assert ended(int(parent.stdout))


def command(*argv: str) -> list[str]:
    return host.ssh_command(
        user="root", port=2222, user_key=Path("/k/id"), known_hosts=Path("/k/known_hosts"), argv=argv
    )


def test_the_users_known_hosts_are_ignored() -> None:
    words = command("true")
    assert words[:3] == ["ssh", "-F", "/dev/null"]
    assert "StrictHostKeyChecking=yes" in words
    assert "UserKnownHostsFile=/k/known_hosts" in words
    assert "GlobalKnownHostsFile=/dev/null" in words


def test_arguments_reach_the_guest_unchanged() -> None:
    hostile = ("printf", "%s", "a b; rm -rf / $(id) 'q' \"d\" `x` \n", "-o", "")
    words = command(*hostile)
    assert words[-2] == "--"
    assert tuple(shlex.split(words[-1])) == hostile
