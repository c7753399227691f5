"""The loop of a host that is hardened: drift that is found, repaired and rolled back, and all its runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener import lab
from tests.hosts.at_work import ALL_FIVE, JOB, WORKLOADS, assert_all_at_work
from tests.hosts.guard import STATE, last_run, record, settled
from tests.hosts.production import LOG_SERVER, make_site
from tests.hosts.workload import CONTAINERS, running, shell

# What is broken by hand, by the control that it moves.
BROKEN = {
    "file-daemon-json-mode": "chmod 0666 /etc/docker/daemon.json",
    "daemon-log-level-info": """
        sed -i '1s/{/{ "debug": true,/' /etc/docker/daemon.json
        systemctl restart docker""",
    "host-firewall-input-ipv4": "iptables --delete INPUT --jump HARDENER-INPUT",
    "container-seccomp-enabled": f"docker rm --force job; {JOB.format('--security-opt seccomp=unconfined')}",
    "host-updates-automatic": "systemctl disable --now apt-daily-upgrade.timer",
}
OWNERS = {"container-seccomp-enabled"}  # how a container is started is for its owner to change


@dataclass(frozen=True)
class Moved:
    """What a drift run said."""

    code: int
    found: set[str]
    left: set[str]
    said: str


class Site:
    """The inventory of a site with one host that has five containers at work.

    The host is in the example's group of production hosts; all runs are in one folder.
    """

    def __init__(self, host: lab.Guest, folder: Path, **variables: Any) -> None:
        host.ssh("sh", "-c", f"{LOG_SERVER}\n{WORKLOADS}")
        assert_all_at_work(host)
        self.host = host
        self.inventory = make_site(folder / "site", host, **variables)
        self._folder = folder

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardener", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=1800, cwd=self._folder
        )

    def drift(self, *options: str) -> Moved:
        told = self._folder / "told.json"
        told.unlink(missing_ok=True)
        notify = ("--notify-command", f"tee {told}")
        done = self.run("drift", "-i", str(self.inventory), *notify, *options)
        message = json.loads(told.read_text()) if told.exists() else {}
        sides = [message.get(side) or {"moved": ()} for side in ("found", "left")]
        found, left = ({move["control"] for move in side["moved"] if move["drift"]} for side in sides)
        return Moved(done.returncode, found, left, done.stdout + done.stderr)


def assert_drift_is_repaired_and_the_repair_rolled_back(site: Site) -> None:
    """Change a hardened host by hand, have the drift found and repaired, and the repair rolled back."""
    host = site.host
    host.ssh("sh", "-c", "\n".join(["set -eu", *BROKEN.values()]))
    moved = site.drift()
    assert (moved.code, moved.found) == (6, set(BROKEN)), moved.said

    changed, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    assert len(containers) == len(ALL_FIVE.split())
    repaired = site.drift("--remediate")
    assert (repaired.code, repaired.found, repaired.left) == (6, set(BROKEN), OWNERS), repaired.said
    assert running(shell(host, CONTAINERS)) == containers
    repair = last_run(host)
    shell(host, f"docker rm --force job; {JOB.format('')}")
    clean = site.drift("--remediate")
    assert (clean.code, clean.found) == (0, set()), clean.said
    assert last_run(host) == repair
    assert_all_at_work(host)

    containers = running(shell(host, CONTAINERS))
    inventory = ("-i", str(site.inventory))
    assert f"  {repair}  " in site.run("rollback", *inventory, "--list").stdout
    predicted = site.run("rollback", *inventory, "--check", "--diff")
    assert '+{ "debug": true' in predicted.stdout, predicted
    back = site.run("rollback", *inventory)
    assert back.returncode == 0, back
    assert f"restored to the state before run {repair}" in back.stderr
    settled(host)
    assert shell(host, STATE) == changed
    assert running(shell(host, CONTAINERS)) == containers
    assert_all_at_work(host)
    assert "rolled back on request of" in record(host)["reason"]
