"""Six things broken by hand on a hardened host: drift names exactly these, and repairs what a role owns."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hardener import lab
from tests.e2e.conftest import Boot
from tests.e2e.test_converge import shell

# A container that is confined as Docker confines it by default.
IMAGE = r"""
set -eu
mkdir -p /root/image/bin
cp /bin/busybox /root/image/bin/ && ln -sf busybox /root/image/bin/sleep
tar --create --directory=/root/image . | docker import - busybox:test >/dev/null
"""
CONFINED = "docker rm --force web >/dev/null 2>&1; docker run -d --name web {} busybox:test sleep 1000000"

BROKEN = {
    "file-daemon-json-mode": "chmod 0666 /etc/docker/daemon.json",
    "daemon-log-level-info": (
        'sed -i \'s/"log-level": *"info"/"log-level": "debug"/\' /etc/docker/daemon.json &&'
        " grep -q debug /etc/docker/daemon.json && systemctl restart docker"
    ),
    "host-firewall-docker-user": (
        "iptables --delete DOCKER-USER --jump $(iptables -S DOCKER-USER | sed -n 's|.*-j ||p' | head -1)"
    ),
    "audit-etc-docker": "auditctl -W /etc/docker -p wa -k docker",
    "container-seccomp-enabled": CONFINED.format("--security-opt seccomp=unconfined"),
    "host-updates-automatic": "dpkg --remove unattended-upgrades",
}
NOBODYS = {"container-seccomp-enabled"}  # how a container is started is its owner's


@pytest.fixture
def drift(boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drift:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    return Drift(boot("13"))


class Drift:
    """A guest, and what drift says about it."""

    def __init__(self, guest: lab.Guest) -> None:
        self.guest = guest

    def run(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardener", verb, "-i", str(self.guest.inventory), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)

    def moved(self, text: str) -> set[str]:
        """The slugs that a screen names."""
        return set(re.findall(r"  ([a-z][a-z0-9]*(?:-[a-z0-9]+)+)\s*\n", text))


def test_six_things_broken_by_hand(drift: Drift) -> None:
    shell(drift.guest, IMAGE)
    shell(drift.guest, CONFINED.format(""))
    hardened = drift.run("harden", "--allow", "connectivity")
    assert hardened.returncode in (3, 4), hardened.stderr
    unmoved = drift.run("drift", "--remediate", "--allow", "connectivity")
    assert unmoved.returncode == 0, unmoved.stdout + unmoved.stderr

    for script in BROKEN.values():
        drift.guest.ssh("sh", "-c", script)
    found = drift.run("drift")
    assert found.returncode == 6, found.stderr
    assert drift.moved(found.stdout) == set(BROKEN), found.stdout

    repaired = drift.run("drift", "--remediate", "--allow", "connectivity")
    assert repaired.returncode == 6, repaired.stdout + repaired.stderr
    left = drift.run("drift")
    assert drift.moved(left.stdout) == NOBODYS, left.stdout
    shell(drift.guest, CONFINED.format(""))
    clean = drift.run("drift", "--remediate", "--allow", "connectivity")
    assert clean.returncode == 0, clean.stdout
