"""The whole loop on one host with containers at work: audit, harden, reboot, drift, repair, evidence."""

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
from tests.hosts.production import LOG_SERVER, Report, make_site, without_the_sites_choice
from tests.hosts.reboot import reboot
from tests.hosts.workload import IMAGE, WHOLE_HOST, shell
from tests.integration.auditor import typed
from tests.unit.evidence.bundles import new_key, public

JOB = "docker run -d --name job --restart on-failure:5 {} busybox:test stay"
# A port that is published, a volume with data, a network of their own, every restart policy, one privileged.
WORKLOADS = rf"""
{IMAGE}
docker network create app >/dev/null
docker run -d --name web --restart always --network app --publish 8080:80 busybox:test \
  with httpd -f -p 80 -h /etc
docker run -d --name db --restart unless-stopped --network app --volume data:/data busybox:test \
  sh -c 'echo kept > /data/file; exec stay'
{JOB.format("")}
docker run -d --name once busybox:test stay
docker run -d --name agent --restart always --privileged busybox:test stay
"""
CONTAINERS = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"
ALL_FIVE = "agent db job once web "

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


def assert_all_at_work(guest: lab.Guest) -> None:
    """All five run, the data is there, and the published port and the users' network answer."""
    assert shell(guest, CONTAINERS) == ALL_FIVE
    assert shell(guest, "docker exec db cat /data/file") == "kept\n"
    assert "localhost" in shell(guest, "busybox wget -q -O - http://10.0.2.15:8080/hosts")
    assert "localhost" in shell(guest, "docker exec db wget -q -O - http://web/hosts")


@pytest.fixture(scope="module")
def site(guest: lab.Guest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A host with five containers at work, in the example's group of production hosts."""
    guest.ssh("sh", "-c", f"{LOG_SERVER}\n{WORKLOADS}")
    assert_all_at_work(guest)
    return Site(guest, tmp_path_factory.mktemp("loop"))


@pytest.fixture(autouse=True)
def _home(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs of the module are in one history."""
    monkeypatch.setenv("HARDENER_HOME", str(site.inventory.parent / "home"))


def test_a_host_with_running_containers_is_hardened_and_stays_so(site: Site) -> None:
    hardened = Report("harden", site.inventory)
    assert without_the_sites_choice(hardened.failing("host", "daemon", "files")) == set(), hardened.said
    assert_all_at_work(site.guest)

    before = shell(site.guest, WHOLE_HOST)
    again = Report("harden", site.inventory)
    assert again.statuses == hardened.statuses, again.said
    assert shell(site.guest, WHOLE_HOST) == before

    reboot(site.guest)
    assert shell(site.guest, CONTAINERS) == ALL_FIVE.replace("once ", "")  # it has no restart policy
    shell(site.guest, "docker start once")
    assert_all_at_work(site.guest)
    assert Report("audit", site.inventory).statuses == hardened.statuses


def test_manual_changes_are_reported_and_repaired(site: Site, tmp_path: Path) -> None:
    site.guest.ssh("sh", "-c", "\n".join(["set -eu", *BROKEN.values()]))
    moved = site.drift()
    assert (moved.code, moved.found) == (6, set(BROKEN)), moved.said

    repaired = site.drift("--remediate")
    assert (repaired.code, repaired.found, repaired.left) == (6, set(BROKEN), OWNERS), repaired.said
    shell(site.guest, f"docker rm --force job; {JOB.format('')}")
    clean = site.drift("--remediate")
    assert (clean.code, clean.found) == (0, set()), clean.said
    assert_all_at_work(site.guest)

    key = new_key(tmp_path / "key")
    (tmp_path / "allowed_signers").write_text(f'auditor@example.com namespaces="{NAMESPACE}" {public(key)}\n')
    runs = re.findall(r"^([0-9a-f]{8,}) ", site.run("runs").stdout, re.MULTILINE)
    bundle = str(tmp_path / "bundle.tar.gz")
    exported = site.run("evidence", "export", *runs, "--out", bundle, "--sign", str(key))
    assert exported.returncode == 0, exported.stderr
    audit = typed(tmp_path)
    assert audit.returncode == 0, audit.stderr
    assert 'Good "evidence@hardener" signature for auditor@example.com' in audit.stdout
