"""A bare host becomes a hardened Docker host, and never runs Docker before it is configured.

The host is in namespaces: it fails what needs a kernel of its own, which `tests/releases/test_provision.py`
has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.production import without_the_sites_choice
from tests.hosts.provisioning import provisioned
from tests.hosts.reboot import reboot
from tests.hosts.workload import shell

# The host's packages stay in its cache of apt. What its engine has written elsewhere goes with the reboot.
WITHOUT_DOCKER = """
set -eu
systemctl disable --now docker.socket docker.service containerd.service
apt-get purge --yes --quiet=2 --autoremove docker.io docker-cli containerd runc
rm -rf /var/lib/docker/* /var/lib/containerd /etc/docker /etc/containerd /var/log/journal
"""
OF_THE_KERNEL = ("audit-", "host-kernel-settings", "host-lsm-enforcing")


@pytest.fixture
def bare() -> Iterator[lab.Guest]:
    """A Debian host from which Docker was removed."""
    host = namespace_host.start("bare", "13")
    try:
        shell(host, WITHOUT_DOCKER)
        reboot(host)
        yield host
    finally:
        host.stop()


def test_a_bare_host_becomes_a_hardened_docker_host(bare: lab.Guest, tmp_path: Path) -> None:
    report = provisioned(bare, tmp_path)
    failing = without_the_sites_choice(report.failing("host", "daemon", "files"))
    assert {each for each in failing if not each.split()[1].startswith(OF_THE_KERNEL)} == set(), report.said
    blocked = [line for line in report.said.splitlines() if "this host is a container" in line]
    assert all(each.split()[1].rstrip(":") in " ".join(blocked) for each in failing), report.said
