"""What looks after images by itself, on the oldest release: its units, and what an audit decides by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import findings, hardener
from tests.hosts.play import Run
from tests.hosts.workload import shell

# Two images: one unknown package, and one that has had updates since.
IMAGES = r"""
set -eu
image() {
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: 1\n' $2 $3 \
    >var/lib/dpkg/status
  tar --create . | docker import - packages:$1
}
mkdir -p /root/image/etc /root/image/var/lib/dpkg
cd /root/image
cp /etc/os-release etc/
image fresh ours all
image old openssl amd64
"""
POLICY = {"registries": [{"prefix": "registry.example.com", "nothing": True}]}
ROLES = ("content_trust", "vulnerability_scan")


def record(guest: lab.Guest, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell(guest, f"cat /var/lib/hardener/{name}/record.json"))
    return found


@pytest.mark.parametrize("guest", ["12"], indirect=True)
def test_an_audit_uses_the_records_that_timers_wrote(guest: lab.Guest, tmp_path: Path) -> None:
    shell(guest, IMAGES)
    done = Run(guest, tmp_path, ROLES, content_trust_policy=POLICY).result()
    assert done["outcome"] == "changed", done
    assert Run(guest, tmp_path, ROLES, content_trust_policy=POLICY).result()["outcome"] == "unchanged"
    timers = "systemctl is-active hardener-scan.timer hardener-verify-images.timer"
    assert shell(guest, timers) == "active\nactive\n"

    shell(guest, "systemctl start hardener-scan.service")
    states = {image["names"][0]: image["state"] for image in record(guest, "scan")["images"].values()}
    assert states == {"packages:fresh": "clean", "packages:old": "outdated"}
    verifying = guest.ssh("systemctl", "start", "hardener-verify-images.service", check=False)
    assert verifying.returncode != 0  # they were built here
    assert {image["status"] for image in record(guest, "trust")["images"]} == {"no-registry-digest"}

    report = tmp_path / "report.json"
    hardener("audit", guest.inventory, "--json", report)
    found = findings(report)
    assert found["image-vulnerability-scan"]["status"] == "fail"
    assert "packages:old" in json.dumps(found["image-vulnerability-scan"])
    assert found["image-trusted-base"]["status"] == "fail"
    assert found["image-content-trust"]["status"] == "pass"  # the client of this release asks
