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
ONLINE = "mv /root/apt/* /etc/apt/ && apt-get -q update >/dev/null"
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


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_a_container_is_proven_with_a_fetched_recorder_that_leaves_the_packages_unchanged(
    hardener: Callable[[str], tuple[lab.Guest, Hardener]], tmp_path: Path, release: str
) -> None:
    guest, run = hardener(release)
    packages = shell(guest, PACKAGES)
    refused = run("record", "web", "--run-in", "web", EXERCISE)
    assert refused.returncode == 2
    assert "there is no bpftool: apt-get install bpftool, or give --install" in refused.stderr
    found = recorded(run, tmp_path / "recordings", "--install")
    assert found["recorder"]["kind"] == "bpf", found["recorder"]
    made = run("profile", *map(str, (tmp_path / "recordings").glob("*.json")), "--out", "profile")
    assert made.returncode == 0, made.stderr
    done = run("prove", "profile", "--run-in", EXERCISE, "--starts", "3", "--for", "30m", "--install")
    assert done.returncode == 0, done.stderr + done.stdout
    assert shell(guest, PACKAGES) == packages
    assert shell(guest, "docker ps --all --format '{{.Names}}'") == "web\n"


def test_bpftrace_finds_the_same_system_calls_as_bpf_and_the_audit_log_no_others(
    hardener: Callable[[str], tuple[lab.Guest, Hardener]], tmp_path: Path
) -> None:
    guest, run = hardener("13")
    guest.ssh("apt-get", "install", "-y", "-qq", "--no-install-recommends", "auditd")
    guest.ssh("sh", "-ec", OFFLINE)  # so that --install fetches nothing
    audit = shell(guest, AUDIT)
    by_log = recorded(run, tmp_path / "log", "--install", code=4)
    assert by_log["recorder"]["kind"] == "audit", by_log["recorder"]
    assert shell(guest, AUDIT) == audit
    guest.ssh("sh", "-ec", ONLINE)

    guest.ssh("apt-get", "install", "-y", "-qq", "--no-install-recommends", "bpftrace")
    by_bpftrace = recorded(run, tmp_path / "bpftrace")
    assert by_bpftrace["recorder"]["kind"] == "bpftrace", by_bpftrace["recorder"]
    by_bpf = recorded(run, tmp_path / "bpf", "--install")
    assert by_bpf["recorder"]["kind"] == "bpf", by_bpf["recorder"]
    calls = by_bpf["calls"]["x86_64"].keys() - BY_CHANCE
    assert by_bpftrace["calls"]["x86_64"].keys() - BY_CHANCE == calls
    for part in ("capabilities", "capset", "setuid", "files"):
        assert by_bpftrace[part] == by_bpf[part], part
    assert by_log["calls"]["x86_64"].keys() - BY_CHANCE <= calls
