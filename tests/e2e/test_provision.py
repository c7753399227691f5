"""A bare host with a kernel of its own becomes a hardened Docker host."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.fixtures import Boot
from tests.hosts.production import without_the_sites_choice
from tests.hosts.provisioning import provisioned


def test_a_bare_host_becomes_a_hardened_docker_host(boot: Boot, tmp_path: Path) -> None:
    report = provisioned(boot("13-bare"), tmp_path)
    assert without_the_sites_choice(report.failing("host", "daemon", "files")) == set(), report.said
