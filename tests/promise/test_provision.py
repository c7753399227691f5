"""Bare hosts become hardened Docker hosts, and never run Docker before it is configured."""

from __future__ import annotations

import re
from pathlib import Path

from hardener import lab
from tests.hosts.fixtures import Boot
from tests.hosts.production import LOG_SERVER, Report, make_site, without_the_sites_choice
from tests.hosts.provisioning import HOLD, LEFT_BEHIND, settled, starts
from tests.hosts.workload import shell


def written(guest: lab.Guest, path: str) -> float:
    return float(shell(guest, f"stat --format=%.6Y {path}"))


def test_a_bare_host_becomes_a_hardened_docker_host(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13-bare")
    shell(guest, LOG_SERVER)
    site = make_site(tmp_path / "site", guest)

    provisioned = Report("provision", site)
    assert without_the_sites_choice(provisioned.failing("host", "daemon", "files")) == set(), provisioned.said
    assert "rolled back" not in provisioned.said

    # The engine has started once, on a file that was there before it did, and that has not changed since.
    first, *others = starts(guest)
    assert others == []
    assert written(guest, "/etc/docker/daemon.json") < int(first) / 1e6
    assert settled(guest) == {
        "live-restore": True,
        "userns": True,
        "no-new-privileges": True,
        "driver": "syslog",
    }
    # No data root of an engine without user namespaces was ever made.
    roots = shell(guest, "ls /var/lib/docker").split()
    assert [name for name in roots if name != "lost+found" and not re.fullmatch(r"\d+\.\d+", name)] == []
    assert shell(guest, LEFT_BEHIND) == ""
    assert shell(guest, f"test -e {HOLD} && echo held || echo free") == "free\n"
