from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hardener import lab
from hardener.errors import HardenerError, InternalError
from hardener.lab import guest, host, qemu
from hardener.lab.image import Image
from hardener.lab.recipe import Release

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def restored(cache: Path, process: Start, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Guests restored so far; their virtual machines are processes that only look like it."""
    image = Image(cache / "images" / "debian13-0")
    image.directory.mkdir(parents=True)
    image.accelerator.write_text("tcg")
    (image.directory / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA guest\n")
    names: list[str] = []

    def build(release: Release, *, report: lab.Say) -> Image:
        return image

    def start(machine: qemu.Machine, *, incoming: Path) -> None:
        # A guest that wrote to the image's own disks would spoil them for all others.
        assert [disk.parent for disk in machine.disks] == [machine.directory] * 2
        assert incoming == image.state
        names.append(machine.directory.name)
        machine.pidfile.write_text(str(process("qemu-system-x86_64", str(machine.pidfile)).pid))

    def make_overlay(*argv: str) -> str:
        assert argv[:2] == ("qemu-img", "create")
        Path(argv[-1]).write_text("overlay")
        return ""

    monkeypatch.setattr(guest, "build", build)
    monkeypatch.setattr(qemu, "start", start)
    monkeypatch.setattr(host, "run", make_overlay)
    monkeypatch.setattr(guest.Guest, "ssh", lambda self, *argv, **options: None)
    return names


def quiet(line: str) -> None:
    pass


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "/etc",
        "a/b",
        ".",
        "..",
        ".hidden",
        "-rf",
        "a-",
        "A",
        "a b",
        "a\n",
        "a\0",
        "é",
        "a" * 64,
        "a.b",
        "*",
    ],
)
def test_an_unsafe_guest_name_is_refused(restored: list[str], name: str) -> None:
    for use in (lambda: lab.up(name, "13", report=quiet), lambda: lab.down(name), lambda: lab.find(name)):
        with pytest.raises(HardenerError, match="not a valid name of a guest"):
            use()
    assert restored == []


def test_a_running_guest_is_kept(restored: list[str]) -> None:
    first = lab.up("a", "13", report=quiet)
    assert lab.up("a", "13", report=quiet) == first == lab.find("a")
    assert restored == ["a"]


def test_a_name_taken_by_another_release_is_an_error(restored: list[str]) -> None:
    lab.up("a", "13", report=quiet)
    with pytest.raises(HardenerError, match=r"guest a runs Debian 13.*lab down --name a"):
        lab.up("a", "12", report=quiet)


def test_the_name_of_a_bare_guest_cannot_be_used_for_a_guest_with_docker(restored: list[str]) -> None:
    assert lab.up("a", "13-bare", report=quiet).release == "13-bare"
    with pytest.raises(HardenerError, match=r"guest a runs Debian 13-bare"):
        lab.up("a", "13", report=quiet)


def test_an_unknown_release_is_an_error_before_any_change(restored: list[str], cache: Path) -> None:
    with pytest.raises(HardenerError, match="knows no Debian"):
        lab.up("a", "14", report=quiet)
    assert not (cache / "guests").exists()


def test_several_guests_run_at_once_and_end_one_by_one(restored: list[str]) -> None:
    a, b = lab.up("a", "13", report=quiet), lab.up("b", "13", report=quiet)
    assert a.port != b.port
    assert [found.name for found in lab.status()] == ["a", "b"]
    a.stop()
    assert a.pid is None
    assert b.pid is not None
    assert lab.status() == [b]
    assert lab.down("b")
    assert not lab.down("b")


def test_a_removed_guest_leaves_no_file(restored: list[str], cache: Path) -> None:
    lab.up("a", "13", report=quiet).stop()
    assert list((cache / "guests").iterdir()) == []


def test_a_guest_that_died_is_shown_stopped_and_replaced_by_a_pristine_one(restored: list[str]) -> None:
    died = lab.up("a", "13", report=quiet)
    qemu.stop(died.directory / "qemu.pid")
    (died.directory / "disk.qcow2").write_text("changed")
    assert [found.pid for found in lab.status()] == [None]
    with pytest.raises(HardenerError, match=r"no guest a is running.*lab up --name a"):
        lab.find("a")
    lab.up("a", "13", report=quiet)
    assert (died.directory / "disk.qcow2").read_text() == "overlay"


def test_down_does_not_end_another_process_with_the_pid_of_a_guest(
    restored: list[str], process: Start
) -> None:
    a = lab.up("a", "13", report=quiet)
    qemu.stop(a.directory / "qemu.pid")
    other = process("innocent")
    (a.directory / "qemu.pid").write_text(str(other.pid))
    assert a.pid is None
    a.stop()
    assert other.poll() is None


def test_a_guest_that_does_not_answer_is_ended_and_removed(
    restored: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int | None] = []

    def refuse(self: guest.Guest, *argv: str, **options: object) -> None:
        pids.append(self.pid)
        raise InternalError("Host key verification failed")

    monkeypatch.setattr(guest.Guest, "ssh", refuse)
    monkeypatch.setattr(guest, "_RESTORE_TIMEOUT", 0.3)
    with pytest.raises(InternalError, match="guest a does not answer: Host key verification failed"):
        lab.up("a", "13", report=quiet)
    assert pids[0] is not None
    assert not (cache / "guests" / "a").exists()


def test_the_inventory_checks_the_host_key_and_names_one_host(restored: list[str], cache: Path) -> None:
    a = lab.up("a", "13", report=quiet)
    variables = yaml.safe_load(a.inventory.read_text())["all"]["hosts"]["a"]
    assert variables["ansible_host"] == "127.0.0.1"
    assert variables["ansible_port"] == a.port
    assert variables["ansible_user"] == "root"
    assert variables["ansible_ssh_private_key_file"] == str(cache / "images" / "debian13-0" / "id_ed25519")
    assert "StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]
    assert f"UserKnownHostsFile={a.known_hosts}" in variables["ansible_ssh_common_args"]
    assert a.known_hosts.read_text() == f"[127.0.0.1]:{a.port} ssh-ed25519 AAAA guest\n"


def test_an_incomplete_guest_folder_is_ignored_and_replaced(restored: list[str], cache: Path) -> None:
    (cache / "guests" / "a").mkdir(parents=True)
    assert lab.status() == []
    assert lab.up("a", "13", report=quiet).pid is not None


def test_stored_state_of_a_guest_has_no_secret(restored: list[str]) -> None:
    a = lab.up("a", "13", report=quiet)
    kept = json.loads((a.directory / "guest.json").read_text())
    assert kept == {"release": "13", "port": a.port, "user_key": str(a.user_key)}


@pytest.fixture
def unreachable(cache: Path) -> guest.Guest:
    """A guest on a port where nobody listens."""
    return guest.Guest(
        name="a", release="13", directory=cache, port=qemu.free_port(), user_key=cache / "id_ed25519"
    )


def test_a_failed_command_is_reported_with_its_output(unreachable: guest.Guest) -> None:
    with pytest.raises(InternalError, match=r"docker in guest a ended with 255: .*Connection refused"):
        unreachable.ssh("docker", "ps")


def test_the_exit_code_of_a_failed_ssh_command_is_returned_on_request(unreachable: guest.Guest) -> None:
    assert unreachable.ssh("docker", "ps", check=False).returncode == 255
