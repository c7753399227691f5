"""The whole promise on one host: five containers at work, the example's variables, nothing lost or open."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener import lab
from hardener.lab.guest import inventory as hosts_of
from tests.e2e.reboot import reboot
from tests.e2e.test_converge import WHOLE_HOST, shell

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example"
Boot = Callable[[str], lab.Guest]

# A port that is published, a volume with data, a network of their own, every restart policy, one privileged.
WORKLOADS = r"""
set -eu
mkdir -p /root/image/bin /root/image/etc
cp /bin/busybox /root/image/bin/
for tool in sh sleep httpd wget nslookup; do ln -sf busybox /root/image/bin/$tool; done
tar --create --directory=/root/image . | docker import - busybox:test >/dev/null
docker network create app >/dev/null
docker run -d --name web --restart always --network app --publish 8080:80 busybox:test httpd -f -p 80 -h /etc
docker run -d --name db --restart unless-stopped --network app --volume data:/data busybox:test \
  sh -c 'echo kept > /data/file; sleep 1000000'
docker run -d --name job --restart on-failure:5 busybox:test sleep 1000000
docker run -d --name once busybox:test sleep 1000000
docker run -d --name agent --restart always --privileged busybox:test sleep 1000000
"""
# A server for logs: UDP, as rsyslog has it.
LOG_SERVER = r"""
cat >/usr/local/sbin/log-server <<'PYTHON'
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 5514))
while True:
    server.recv(9000)
PYTHON
cat >/etc/systemd/system/log-server.service <<'UNIT'
[Service]
ExecStart=/usr/bin/python3 /usr/local/sbin/log-server
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --now log-server
"""
CONTAINERS = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"
ALL_FIVE = "agent db job once web "


@pytest.fixture
def site(tmp_path: Path) -> Callable[[lab.Guest], Path]:
    """The example's inventory with a guest in its group of production hosts, and a log server there."""

    def make(guest: lab.Guest) -> Path:
        folder = tmp_path / "site"
        shutil.copytree(EXAMPLE, folder)
        production = yaml.safe_load((folder / "group_vars/production.yml").read_text())
        production["docker_daemon_log_opts"]["syslog-address"] = "udp://127.0.0.1:5514"
        production["userns_remap_exempt"] = ["agent"]
        (folder / "group_vars/production.yml").write_text(yaml.safe_dump(production))
        hosts = hosts_of(guest)["all"]["hosts"]
        (folder / "hosts.yml").write_text(
            yaml.safe_dump({"all": {"children": {"production": {"hosts": hosts}}}})
        )
        return folder

    return make


class Report:
    """A run of the command line on the site, and what it reported."""

    def __init__(self, verb: str, site: Path) -> None:
        command = [sys.executable, "-m", "hardener", verb, "-i", str(site), "--json", "report.json"]
        self.done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=site.parent, timeout=1200
        )
        self.said = self.done.stderr
        report = site.parent / "report.json"
        assert report.exists(), self.said
        self.findings: list[dict[str, Any]] = json.loads(report.read_text())["hosts"][0]["findings"]

    def failing(self, *sections: str) -> set[str]:
        """Controls that fail, in some sections or in all."""
        return {
            f"{each['id']} {each['slug']}: {each['actual']}"
            for each in self.findings
            if each["status"] in ("fail", "error") and (not sections or each["section"] in sections)
        }

    @property
    def statuses(self) -> dict[str, str]:
        """How each control stands."""
        return {each["slug"]: each["status"] for each in self.findings}


def without_the_sites_choice(failing: set[str]) -> set[str]:
    """An authorization plugin is for the site to choose."""
    return {each for each in failing if "daemon-authz-plugin" not in each}


def test_a_host_at_work_is_hardened_and_stays_so(boot: Boot, site: Callable[[lab.Guest], Path]) -> None:
    guest = boot("13")
    shell(guest, LOG_SERVER)
    guest.ssh("sh", "-c", WORKLOADS)
    assert shell(guest, CONTAINERS) == ALL_FIVE
    inventory = site(guest)

    hardened = Report("harden", inventory)
    assert without_the_sites_choice(hardened.failing("host", "daemon", "files")) == set(), hardened.said
    assert shell(guest, CONTAINERS) == ALL_FIVE
    assert shell(guest, "docker exec db cat /data/file") == "kept\n"
    assert "200 OK" in shell(guest, "wget -S -O /dev/null http://10.0.2.15:8080/hosts 2>&1")
    assert "200 OK" in shell(guest, "docker exec db wget -S -O /dev/null http://web/hosts 2>&1")

    before = shell(guest, WHOLE_HOST)
    again = Report("harden", inventory)
    assert again.statuses == hardened.statuses, again.said
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    assert shell(guest, CONTAINERS) == ALL_FIVE.replace("once ", "")  # who has no restart policy stays down
    shell(guest, "docker start once")
    assert Report("audit", inventory).statuses == hardened.statuses


@pytest.mark.parametrize("release", ["12", "testing"])
def test_a_fresh_host_is_hardened_in_one_run(
    boot: Boot, site: Callable[[lab.Guest], Path], release: str
) -> None:
    guest = boot(release)
    shell(guest, LOG_SERVER)
    inventory = site(guest)
    hardened = Report("harden", inventory)
    assert without_the_sites_choice(hardened.failing("host", "daemon", "files")) == set(), hardened.said
    before = shell(guest, WHOLE_HOST)
    assert Report("harden", inventory).statuses == hardened.statuses
    assert shell(guest, WHOLE_HOST) == before
