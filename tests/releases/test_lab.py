"""Guests of every release of the lab."""

from __future__ import annotations

import time

import pytest

from hardener import lab
from tests.hosts.guests import data_disk

DOCKER = {"12": "20.10.", "13": "26.1.", "testing": "28."}
RELEASES = ["12", "13", "testing"]


@pytest.mark.parametrize("guest", RELEASES, indirect=True)
def test_a_guest_has_docker_and_the_requirements_of_protections(guest: lab.Guest) -> None:
    assert guest.ssh("docker", "version", "--format", "{{.Server.Version}}").stdout.startswith(
        DOCKER[guest.release]
    )
    assert guest.ssh("cat", "/proc/1/comm").stdout == "systemd\n"
    assert guest.ssh("systemctl", "is-system-running", check=False).stdout == "running\n"
    assert "apparmor" in guest.ssh("docker", "info", "--format", "{{.SecurityOptions}}").stdout
    assert guest.ssh("auditctl", "-s", check=False).returncode != 0
    # The clock stood still since the image was saved, for days perhaps.
    before = time.time()
    date = float(guest.ssh("date", "+%s.%N").stdout)
    after = time.time()
    assert before - 5 < date < after + 5
    assert guest.ssh("sudo", "id", "-u", user="lab").stdout == "0\n"
    assert data_disk(guest) == "/dev/vdb /var/lib/docker ext4"


@pytest.mark.parametrize("guest", RELEASES, indirect=True)
def test_a_guest_runs_containers_and_can_get_packages(guest: lab.Guest) -> None:
    image = (
        'cd "$(mktemp -d)" && mkdir bin && cp /bin/busybox bin/ && tar -c bin | docker import - busybox:test'
    )
    guest.ssh("sh", "-c", image)
    assert guest.ssh("docker", "run", "--rm", "busybox:test", "/bin/busybox", "uname").stdout == "Linux\n"
    guest.ssh("apt-get", "update", "--quiet")
    guest.ssh("apt-get", "install", "--yes", "--quiet", "--download-only", "auditd")
