"""Bare hosts that become hardened Docker hosts, and what they tell of their engine's starts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hardener import lab
from tests.hosts.production import LOG_SERVER, Report, make_site
from tests.hosts.workload import shell

HOLD = "/etc/systemd/system/docker.service.d/hardener-hold.conf"
# What others use to keep a daemon from starting, and have to remove in time.
LEFT_BEHIND = """
ls /usr/sbin/policy-rc.d /etc/systemd/system/docker.service /run/systemd/system/docker.service 2>/dev/null
systemctl list-unit-files --state=masked,masked-runtime --no-legend | grep -e docker -e containerd
true
"""
# The host's packages stay in its cache of apt. What its engine has written elsewhere goes with the reboot.
WITHOUT_DOCKER = """
set -eu
systemctl disable --now docker.socket docker.service containerd.service
apt-get purge --yes --quiet=2 --autoremove docker.io docker-cli containerd runc
rm -rf /var/lib/docker/* /var/lib/containerd /etc/docker /etc/containerd /var/log/journal
"""


def starts(guest: lab.Guest) -> list[str]:
    """Moments of every start of the engine, in microseconds since the epoch."""
    journal = shell(
        guest, "journalctl --unit=docker.service --output=json --output-fields=MESSAGE,_PID --quiet"
    )
    entries = [json.loads(line) for line in journal.splitlines()]
    said = [entry for entry in entries if 'msg="Starting up"' in str(entry["MESSAGE"])]
    return [entry["__REALTIME_TIMESTAMP"] for entry in said]


def settled(guest: lab.Guest) -> dict[str, object]:
    """What the engine itself says of its configuration."""
    info = json.loads(shell(guest, "docker info --format '{{json .}}'"))
    return {
        "live-restore": info["LiveRestoreEnabled"],
        "userns": "name=userns" in info["SecurityOptions"],
        "no-new-privileges": "name=no-new-privileges" in info["SecurityOptions"],
        "driver": info["LoggingDriver"],
    }


def provisioned(guest: lab.Guest, folder: Path) -> Report:
    """Provision a bare host as one of the example's production hosts; its engine never runs unconfigured.

    Args:
        guest: the host.
        folder: where the site is made.
    """
    shell(guest, LOG_SERVER)
    report = Report("provision", make_site(folder / "site", guest))
    assert "rolled back" not in report.said

    # The engine has started once, on a file that was there before it did, and that has not changed since.
    first, *others = starts(guest)
    assert others == []
    assert float(shell(guest, "stat --format=%.6Y /etc/docker/daemon.json")) < int(first) / 1e6
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
    return report
