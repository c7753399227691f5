"""Record, profile and prove a container of a fresh host over ssh, by each recorder that works there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from hardener.lab.guest import inventory
from tests.hosts.fixtures import Boot
from tests.hosts.workload import IMAGE, shell

SERVE = f"""
{IMAGE}
docker run --detach --name web busybox:test \\
  sh -c 'cat /etc/hostname >/start; exec httpd -f -p 80 -h /' >/dev/null
"""
EXERCISE = "wget -q -O - http://127.0.0.1/start"
BY_CHANCE = {"poll"}  # by which wget waits for an answer that is not there yet
PACKAGES = "dpkg-query --show"
OFFLINE = """
systemctl is-active auditd
mkdir /root/apt && mv /etc/apt/sources.list* /root/apt/ && rm -rf /var/lib/apt/lists/*
"""
# The audit system as a whole: that of the kernel, and the daemon beside the recording.
AUDIT = "auditctl -s | grep -e enabled -e pid; auditctl -l; systemctl is-active auditd"

Hardener = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hardener(boot: Boot, tmp_path: Path) -> Callable[[str], tuple[lab.Guest, Hardener]]:
    """Starts a host with a web server, and gives `hardener workload` for it."""

    def start(release: str) -> tuple[lab.Guest, Hardener]:
        guest = boot(release)
        guest.ssh("sh", "-c", SERVE)
        hosts = tmp_path / "hosts.json"
        hosts.write_text(json.dumps(inventory(guest)))

        def run(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
            reached = () if verb == "profile" else ("-i", str(hosts))
            command = [sys.executable, "-m", "hardener", "workload", verb, *reached, *words]
            return subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1800
            )

        return guest, run

    return start


def recorded(hardener: Hardener, folder: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """A recording of the container, in a folder of its own."""
    words = ("web", "--run-in", "web", EXERCISE, "--for", "15m", "--out", str(folder), *options)
    done = hardener("record", *words)
    assert done.returncode == code, done.stderr + done.stdout
    (path,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def recorded_and_proven(hardener: Hardener, guest: lab.Guest, folder: Path) -> dict[str, Any]:
    """A recording with the fetched recorder, after its profile was proven; the packages stay as they are."""
    packages = shell(guest, PACKAGES)
    refused = hardener("record", "web", "--run-in", "web", EXERCISE)
    assert refused.returncode == 2
    assert "there is no bpftool: apt-get install bpftool, or give --install" in refused.stderr
    found = recorded(hardener, folder, "--install")
    assert found["recorder"]["kind"] == "bpf", found["recorder"]
    made = hardener("profile", *map(str, folder.glob("*.json")), "--out", "profile")
    assert made.returncode == 0, made.stderr
    done = hardener("prove", "profile", "--run-in", EXERCISE, "--starts", "3", "--for", "30m", "--install")
    assert done.returncode == 0, done.stderr + done.stdout
    assert shell(guest, PACKAGES) == packages
    assert shell(guest, "docker ps --all --format '{{.Names}}'") == "web\n"
    return found


@pytest.mark.parametrize("release", ["12", "testing"])
def test_a_container_is_proven_with_a_fetched_recorder_that_leaves_the_packages_unchanged(
    hardener: Callable[[str], tuple[lab.Guest, Hardener]], tmp_path: Path, release: str
) -> None:
    guest, run = hardener(release)
    recorded_and_proven(run, guest, tmp_path / "recordings")


def test_each_recorder_works_on_debian_13_and_the_slower_ones_find_no_more_than_bpf(
    hardener: Callable[[str], tuple[lab.Guest, Hardener]], tmp_path: Path
) -> None:
    guest, run = hardener("13")
    by_bpf = recorded_and_proven(run, guest, tmp_path / "bpf")

    guest.ssh("apt-get", "install", "-y", "-qq", "--no-install-recommends", "auditd", "bpftrace")
    by_bpftrace = recorded(run, tmp_path / "bpftrace")
    assert by_bpftrace["recorder"]["kind"] == "bpftrace", by_bpftrace["recorder"]
    calls = by_bpf["calls"]["x86_64"].keys() - BY_CHANCE
    assert by_bpftrace["calls"]["x86_64"].keys() - BY_CHANCE == calls
    for part in ("capabilities", "capset", "setuid", "files"):
        assert by_bpftrace[part] == by_bpf[part], part

    guest.ssh("apt-get", "remove", "-y", "-qq", "bpftrace")
    guest.ssh("sh", "-ec", OFFLINE)  # so that --install fetches nothing
    audit = shell(guest, AUDIT)
    by_log = recorded(run, tmp_path / "log", "--install", code=4)
    assert by_log["recorder"]["kind"] == "audit", by_log["recorder"]
    assert shell(guest, AUDIT) == audit
    assert by_log["calls"]["x86_64"].keys() - BY_CHANCE <= calls
