"""The whole loop on one host with containers at work: harden, guard, drift, repair, rollback, evidence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hardener import lab
from hardener.evidence.signature import NAMESPACE
from tests.hosts.at_work import ALL_FIVE, JOB, WORKLOADS, assert_all_at_work
from tests.hosts.guard import LOCKED_OUT, STATE, assert_lockout_is_rolled_back, last_run, record, settled
from tests.hosts.production import LOG_SERVER, Report, make_site
from tests.hosts.workload import CONTAINERS, running, shell
from tests.integration.auditor import typed
from tests.unit.evidence.bundles import new_key, public

# What is broken by hand, by the control that it moves.
BROKEN = {
    "file-daemon-json-mode": "chmod 0666 /etc/docker/daemon.json",
    "daemon-log-level-info": """
        sed -i '1s/{/{ "debug": true,/' /etc/docker/daemon.json
        systemctl restart docker""",
    "host-firewall-input-ipv4": "iptables --delete INPUT --jump HARDENER-INPUT",
    "audit-bin-runc": "auditctl -l | sed -n 's/^-a \\(.*path=.usr.sbin.runc .*\\)/-d \\1/p' | xargs auditctl",
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
    """The inventory of a site with one guest, and the folder where all of its runs are kept."""

    def __init__(self, guest: lab.Guest, folder: Path) -> None:
        self.guest = guest
        self.inventory = make_site(folder / "site", guest)
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


@pytest.fixture(scope="module")
def site(guest: lab.Guest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A host with five containers at work, in the example's group of production hosts."""
    guest.ssh("sh", "-c", f"{LOG_SERVER}\n{WORKLOADS}")
    assert_all_at_work(guest)
    return Site(guest, tmp_path_factory.mktemp("loop"))


@pytest.fixture(autouse=True)
def _home(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs of the site are in one history."""
    monkeypatch.setenv("HARDENER_HOME", str(site.inventory.parent / "home"))


def test_a_host_with_running_containers_is_hardened(site: Site) -> None:
    hardened = Report("harden", site.inventory)
    hardened.assert_compliant()
    assert_all_at_work(site.guest)
    settled(site.guest)
    assert record(site.guest)["confirmed"]
    guard = "/var/lib/hardener/backups/*/guard.pyz"
    assert shell(site.guest, f"ls {guard}; systemctl cat hardener-guard.service") == ""


def test_rules_that_lock_the_controller_out_are_rolled_back_by_the_host(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))  # its inventory is not the site's
    assert_lockout_is_rolled_back(site.guest, tmp_path, LOCKED_OUT["and open connections end"], workloads=5)
    assert_all_at_work(site.guest)


def test_manual_changes_are_reported_and_repaired_and_the_repair_is_rolled_back(
    site: Site, tmp_path: Path
) -> None:
    site.guest.ssh("sh", "-c", "\n".join(["set -eu", *BROKEN.values()]))
    moved = site.drift()
    assert (moved.code, moved.found) == (6, set(BROKEN)), moved.said

    broken, containers = shell(site.guest, STATE), running(shell(site.guest, CONTAINERS))
    assert len(containers) == len(ALL_FIVE.split())
    repaired = site.drift("--remediate")
    assert (repaired.code, repaired.found, repaired.left) == (6, set(BROKEN), OWNERS), repaired.said
    assert running(shell(site.guest, CONTAINERS)) == containers
    repair = last_run(site.guest)
    shell(site.guest, f"docker rm --force job; {JOB.format('')}")
    clean = site.drift("--remediate")
    assert (clean.code, clean.found) == (0, set()), clean.said
    assert last_run(site.guest) == repair
    assert_all_at_work(site.guest)

    containers = running(shell(site.guest, CONTAINERS))
    inventory = ("-i", str(site.inventory))
    assert f"  {repair}  " in site.run("rollback", *inventory, "--list").stdout
    predicted = site.run("rollback", *inventory, "--check", "--diff")
    assert '+{ "debug": true' in predicted.stdout, predicted
    back = site.run("rollback", *inventory)
    assert back.returncode == 0, back
    assert f"restored to the state before run {repair}" in back.stderr
    settled(site.guest)
    assert shell(site.guest, STATE) == broken
    assert running(shell(site.guest, CONTAINERS)) == containers
    assert_all_at_work(site.guest)
    assert "rolled back on request of" in record(site.guest)["reason"]


def test_an_auditor_verifies_the_evidence_of_all_runs(site: Site, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key")
    (tmp_path / "allowed_signers").write_text(f'auditor@example.com namespaces="{NAMESPACE}" {public(key)}\n')
    runs = re.findall(r"^([0-9a-f]{8,}) ", site.run("runs").stdout, re.MULTILINE)
    assert len(runs) > 3
    bundle = str(tmp_path / "bundle.tar.gz")
    exported = site.run("evidence", "export", *runs, "--out", bundle, "--sign", str(key))
    assert exported.returncode == 0, exported.stderr
    audit = typed(tmp_path)
    assert audit.returncode == 0, audit.stderr
    assert 'Good "evidence@hardener" signature for auditor@example.com' in audit.stdout
