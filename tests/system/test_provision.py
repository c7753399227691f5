"""A provisioning that is killed leaves an engine that does not start; the next run ends it well, for good."""

from __future__ import annotations

import subprocess
import sys

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.play import kill
from tests.hosts.provisioning import HOLD, LEFT_BEHIND, settled, starts
from tests.hosts.reboot import reboot
from tests.hosts.waiting import until
from tests.hosts.workload import WHOLE_HOST, shell

ONLY = ("--only", "daemon-icc-disabled")


def provision(guest: lab.Guest) -> subprocess.Popen[str]:
    """Start ``hardener provision`` of a guest in the background."""
    command = [sys.executable, "-m", "hardener", "provision", "-i", str(guest.inventory), *ONLY]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)


MOMENTS = {
    "packages are unpacked": "pgrep -x apt-get && test -e /var/lib/dpkg/info/runc.list",
    "the engine is there": "test -e /usr/sbin/dockerd",
}


def test_a_killed_provision_leaves_an_engine_that_does_not_start(boot: Boot) -> None:
    guest = boot("13-bare")
    for moment in MOMENTS.values():
        running = provision(guest)
        until(guest, moment)
        kill(running)
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

    again = hardener("provision", guest.inventory, *ONLY)
    assert again.returncode == 0, again.stderr
    assert len(starts(guest)) == 1
    assert settled(guest)["userns"] is True
    assert shell(guest, "dpkg --audit") == ""
    assert shell(guest, f"test -e {HOLD} && echo held || echo free") == "free\n"

    before = shell(guest, WHOLE_HOST)
    unchanged = hardener("provision", guest.inventory, *ONLY)
    assert unchanged.returncode == 0, unchanged.stderr
    assert "install:" not in unchanged.stderr
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    audit = hardener("audit", guest.inventory, *ONLY)
    assert audit.returncode == 0, audit.stdout + audit.stderr
