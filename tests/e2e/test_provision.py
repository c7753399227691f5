"""Bare hosts become hardened Docker hosts, and never run Docker before it is configured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hardener import lab
from tests.e2e.production import LOG_SERVER, Report, make_site, without_the_sites_choice
from tests.e2e.reboot import reboot
from tests.e2e.test_converge import WHOLE_HOST, shell
from tests.e2e.waiting import until

Boot = Callable[[str], lab.Guest]

HOLD = "/etc/systemd/system/docker.service.d/hardener-hold.conf"
# What others use to keep a daemon from starting, and have to take back in time.
LEFT_BEHIND = """
ls /usr/sbin/policy-rc.d /etc/systemd/system/docker.service /run/systemd/system/docker.service 2>/dev/null
systemctl list-unit-files --state=masked,masked-runtime --no-legend | grep -e docker -e containerd
true
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

    before = shell(guest, WHOLE_HOST)
    again = Report("provision", site)
    assert "install:" not in again.said
    assert again.statuses == provisioned.statuses, again.said
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    assert Report("audit", site).statuses == provisioned.statuses


ONLY = ("--only", "daemon-icc-disabled")


class Provisioning:
    """``hardener provision`` of a guest, in the background."""

    def __init__(self, guest: lab.Guest) -> None:
        command = [sys.executable, "-m", "hardener", "provision", "-i", str(guest.inventory), *ONLY]
        self.process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)

    def kill(self) -> None:
        """End it and all of Ansible as a crash of this machine would: without a word."""
        family = [self.process.pid]
        for pid in family:
            family += [int(child) for child in children(pid)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


MOMENTS = {
    "packages are unpacked": "pgrep -x apt-get && test -e /var/lib/dpkg/info/runc.list",
    "the engine is there": "test -e /usr/sbin/dockerd",
}


@pytest.mark.long
def test_a_run_that_is_killed_leaves_an_engine_that_does_not_start(boot: Boot) -> None:
    guest = boot("13-bare")
    for moment in MOMENTS.values():
        killed = Provisioning(guest)
        until(guest, moment)
        killed.kill()
        guest.ssh("pkill", "-KILL", "-x", "apt-get|dpkg", check=False)  # and the host's side of it as well
        assert shell(guest, LEFT_BEHIND) == ""
        # Nothing that might start the engine does, neither a person nor, below, a boot.
        guest.ssh("systemctl", "start", "docker.service", check=False)
        assert starts(guest) == []
    reboot(guest)
    assert starts(guest) == []
    assert guest.ssh("systemctl", "is-active", "docker.service", "docker.socket", check=False).stdout in (
        "inactive\ninactive\n",
        "inactive\n",
    )

    again = subprocess.run(
        [sys.executable, "-m", "hardener", "provision", "-i", str(guest.inventory), *ONLY],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert again.returncode == 0, again.stderr
    assert len(starts(guest)) == 1
    assert settled(guest)["userns"] is True
    assert shell(guest, "dpkg --audit") == ""
    assert shell(guest, f"test -e {HOLD} && echo held || echo free") == "free\n"
