"""Hosts in namespaces reboot, cannot change this machine, and end with a run that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardener import lab
from tests import leftovers
from tests.hosts.fixtures import Boot
from tests.hosts.reboot import reboot
from tests.hosts.supervisor import own_cgroup
from tests.hosts.workload import shell

STARTED_AND_KILLED = """
import os, signal
from tests.hosts import namespace_host
print(namespace_host.start("killed", "13").directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
# What belongs to the kernel that is shared.
CHANGES = {
    "a kernel setting": "sysctl -w kernel.panic=77",
    "the clock": "date --set '+1 day'",
    "a module": "modprobe loop",
    "kernel audit": 'python3 -c "import socket; s = socket.socket(16, 3, 9); s.bind((0, 1))"',
    "the host's processes": "test -e /proc/{pid}",
}


def test_services_run_again_after_a_reboot_of_the_namespaced_host(boot: Boot) -> None:
    host = boot("13")
    assert shell(host, "cat /proc/1/comm; systemctl is-active docker ssh") == "systemd\nactive\nactive\n"
    shell(host, "touch /root/kept /run/lost; iptables -N LOST")
    before = shell(host, "cat /proc/sys/kernel/random/boot_id")
    reboot(host)
    assert shell(host, "cat /proc/sys/kernel/random/boot_id") not in ("", before)
    assert shell(host, "ls /root/kept /run/lost 2>/dev/null; iptables -S LOST 2>/dev/null") == "/root/kept\n"


def _since_boot() -> float:
    """The date of the boot by the present clock: it changes only if the clock is set."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_namespaced_host_does_not_change_the_machine(guest: lab.Guest) -> None:
    panic, clock = Path("/proc/sys/kernel/panic").read_text(), _since_boot()
    ours = os.getpid()
    refused = {
        what: guest.ssh("sh", "-c", change.format(pid=ours), check=False).returncode
        for what, change in CHANGES.items()
    }
    assert 0 not in refused.values(), refused
    assert Path("/proc/sys/kernel/panic").read_text() == panic
    assert _since_boot() == pytest.approx(clock, abs=60)


def test_leftovers_of_a_killed_namespaced_host_are_removed_by_the_next() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", STARTED_AND_KILLED], capture_output=True, text=True, check=False, timeout=300
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    directory = Path(killed.stdout.splitlines()[-1])
    deadline = time.monotonic() + 30
    while processes := _processes_that_name(directory):
        assert time.monotonic() < deadline, processes
        time.sleep(0.1)
    assert directory.exists()
    leftovers.sweep()
    assert not directory.exists()
    assert not (own_cgroup() / directory.name).exists()
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()


def _processes_that_name(directory: Path) -> list[str]:
    found = subprocess.run(
        ["pgrep", "--full", "--list-full", str(directory)], capture_output=True, text=True, check=False
    )
    return found.stdout.splitlines()
