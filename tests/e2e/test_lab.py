"""Guests of the lab: their disks, keys and ports, builds that are killed, and guests that are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardener import lab
from hardener.lab import host, qemu
from tests import leftovers
from tests.hosts.fixtures import Boot
from tests.hosts.guests import data_disk
from tests.hosts.reboot import reboot


def test_a_bare_guest_has_the_disk_for_docker_and_no_docker(boot: Boot) -> None:
    guest = boot("13-bare")
    assert guest.ssh("systemctl", "is-system-running", check=False).stdout == "running\n"
    assert "docker" not in guest.ssh("dpkg-query", "--show", "--showformat=${Package}\\n").stdout
    assert guest.ssh("sh", "-c", "command -v dockerd containerd docker", check=False).stdout == ""
    assert data_disk(guest) == "/dev/vdb /var/lib/docker ext4"
    assert guest.ssh("ls", "-A", "/var/lib/docker").stdout == "lost+found\n"


def test_only_the_guests_own_host_key_is_accepted(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = (tmp_path / "other.pub").read_text()
    ours = guest.known_hosts.read_text()

    guest.known_hosts.write_text(f"[127.0.0.1]:{guest.port} {other}")
    assert "Host key verification failed" in guest.ssh("true", check=False).stderr
    refused = ping(guest)
    assert refused.returncode != 0
    assert "Host key verification failed" in refused.stdout + refused.stderr

    guest.known_hosts.write_text(ours)
    guest.ssh("true")
    assert ping(guest).returncode == 0


def ping(guest: lab.Guest) -> subprocess.CompletedProcess[str]:
    """What Ansible says of a guest, going by its inventory file alone."""
    ansible = Path(sys.executable).parent / "ansible"
    command = [str(ansible), "-i", str(guest.inventory), "all", "-m", "ansible.builtin.ping"]
    # No connection kept open: the next one must look at the key again.
    environment = {**os.environ, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_two_guests_are_independent_and_start_pristine(boot: Boot) -> None:
    a, b = boot("13"), boot("13")
    a.ssh("sh", "-c", "echo changed > /etc/motd; docker volume create of-a")
    assert "changed" not in b.ssh("cat", "/etc/motd", check=False).stdout
    assert b.ssh("docker", "volume", "ls", "--quiet").stdout == ""

    a.stop()
    assert a.pid is None
    assert not a.directory.exists()
    assert b.ssh("echo", "alive").stdout == "alive\n"

    again = lab.up(a.directory.name, "13", report=print)
    assert again.ssh("docker", "volume", "ls", "--quiet").stdout == ""
    b.ssh("true")


STARTED_AND_KILLED = """
import os, signal
from tests.hosts import guests
print(guests.start("13").directory.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_removes_the_guest_of_a_killed_run(boot: Boot) -> None:
    command = [sys.executable, "-c", STARTED_AND_KILLED]
    killed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = lab.find(killed.stdout.splitlines()[-1])
    ours = boot("13")
    leftovers.sweep()
    assert left.pid is None
    assert not left.directory.exists()
    assert not (host.cache_dir() / "locks" / f"guest-{left.name}").exists()
    assert ours.ssh("echo", "alive").stdout == "alive\n"


def test_a_guest_survives_its_own_reboot(boot: Boot) -> None:
    guest = boot("13")
    guest.ssh("touch", "/root/kept", "/var/lib/docker/kept")
    reboot(guest)
    guest.ssh("test", "-e", "/root/kept", "-a", "-e", "/var/lib/docker/kept")
    assert data_disk(guest) == "/dev/vdb /var/lib/docker ext4"


def test_only_this_machine_reaches_a_guest(guest: lab.Guest) -> None:
    listening = subprocess.run(
        ["ss", "--listening", "--tcp", "--numeric", "--no-header", f"sport = :{guest.port}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [word for word in listening if word.endswith(f":{guest.port}")] == [f"127.0.0.1:{guest.port}"]


def test_a_killed_build_leaves_no_image_no_process_and_no_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = tmp_path / "hardener" / "lab" / "images"
    script = "from hardener import lab; lab.build(lab.release_named('13'), report=print)"

    def kill_while_installing(but: Path | None = None) -> Path:
        build = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.monotonic() + 120
        while not (draft := installing(images, but)):
            assert build.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        build.send_signal(signal.SIGKILL)
        build.wait()
        return draft

    first = kill_while_installing()
    deadline = time.monotonic() + 10
    while running := processes_that_name(str(first)):
        assert time.monotonic() < deadline, running
        time.sleep(0.1)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert "." in first.name  # an image has no dot in its name

    second = kill_while_installing(but=first)
    assert second != first
    assert not first.exists()


def installing(images: Path, but: Path | None) -> Path | None:
    """The draft of an image that packages are being unpacked in: mmdebstrap has its mounts there."""
    drafts = {path.parents[5] for path in images.glob("*/mmdebstrap.*/var/lib/dpkg/info/*.list")}
    return next(iter(drafts - {but}), None)


def processes_that_name(what: str) -> list[str]:
    """Command lines of the running processes that have this in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if what in command:
            found.append(command)
    return found


def test_stopping_a_guest_ends_its_process_and_no_other_one(boot: Boot) -> None:
    guest = boot("13")
    pid = guest.pid
    assert pid is not None
    pidfile = guest.directory / "qemu.pid"
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        pidfile.write_text(str(bystander.pid))
        assert guest.pid is None
        assert not qemu.stop(pidfile)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    pidfile.write_text(str(pid))
    guest.stop()
    # Ended: gone, or a zombie whose command line is empty.
    assert processes_that_name(str(guest.directory)) == []
