"""A scan of a whole machine as a user runs it: packages, images, OpenSCAP; and the audit afterwards."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.scan.openscap import LEFT_OUT

from hardener import lab
from tests.hosts.command import findings, hardener
from tests.hosts.workload import shell
from tests.integration.oldroot import package_of

# Debian 13 has the tool; content for it is in a later release's package, which is data and installs here.
OPENSCAP = r"""
set -eu
base64 --decode >/root/ssg-debian.deb
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y --no-install-recommends install openscap-scanner /root/ssg-debian.deb
"""
# A hook of the host's own, and an image with a second kind of packages, which is not compared.
PREPARED = r"""
set -eu
echo 'APT::Update::Post-Invoke { "touch /root/hooked"; };' >/etc/apt/apt.conf.d/99hook
mkdir -p /root/image/etc /root/image/var/lib/dpkg /root/image/lib/apk/db
cd /root/image
cp /etc/os-release etc/
printf 'Package: ours\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n' >var/lib/dpkg/status
echo P:musl >lib/apk/db/installed
tar --create . | docker import - packages:both
"""
# CIS asks systemd much about every service: five seconds for each on a machine that is emulated.
PROFILE = "anssi_bp28_minimal"


@pytest.fixture
def openscap(guest: lab.Guest, tmp_path: Path) -> lab.Guest:
    """A host with OpenSCAP and content for its very release."""
    package = package_of(tmp_path, "forky", "ssg-debian")
    guest.ssh("sh", "-c", OPENSCAP, stdin=base64.b64encode(package.read_bytes()).decode())
    return guest


def test_the_next_audit_reports_findings_of_openscap_and_of_the_image_scan(
    openscap: lab.Guest, tmp_path: Path
) -> None:
    shell(openscap, PREPARED)
    inventory = tmp_path / "hosts.yml"
    hosts = yaml.safe_load(openscap.inventory.read_text())["all"]["hosts"]
    variables = {"vulnerability_scan_openscap_profile": PROFILE}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables}}))
    scanned = hardener("scan images", inventory, "--openscap", "--json", tmp_path / "scan.json")
    assert scanned.returncode == 3, scanned.stderr
    (found,) = json.loads((tmp_path / "scan.json").read_text()).values()
    assert found["host"]["index"]["state"] == "fresh"
    assert shell(openscap, "ls /root/hooked 2>/dev/null") == ""
    (image,) = (each for each in found["images"].values() if each["names"] == ["packages:both"])
    assert (image["state"], image["reason"]) == ("not-scanned", "Alpine's packages are not compared")

    evaluated = found["openscap"]
    assert (evaluated["error"], evaluated["content"]) == (None, "ssg-debian13-ds.xml")
    assert evaluated["profile"] == PROFILE
    assert evaluated["counts"]["pass"] > 5
    failing = {rule["id"] for rule in evaluated["failed"]}
    assert failing
    assert not failing & LEFT_OUT.keys()
    assert shell(openscap, "systemctl is-active docker") == "active\n"

    audited = hardener("audit", inventory, "--json", tmp_path / "audit.json")
    judged = findings(tmp_path / "audit.json")
    hardened = judged["host-hardened"]
    assert hardened["status"] == "fail", audited.stderr
    assert {offender["name"] for offender in hardened["offenders"]} == failing
    assert f"{PROFILE} of ssg-debian13-ds.xml" in json.dumps(hardened["evidence"])
    assert judged["image-vulnerability-scan"]["status"] == "manual"
