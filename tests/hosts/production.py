"""A site as the example describes it: a guest among its production hosts, and what is reported of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from hardener import lab
from hardener.lab.guest import inventory as hosts_of

# Controls that fail on a host without a kernel of its own, by the beginnings of their names.
OF_THE_KERNEL = ("audit-", "host-kernel-settings", "host-lsm-enforcing")
# A machine may not let a host in namespaces have as many open files as the role permits containers.
ULIMITS: dict[str, Any] = {"docker_daemon_default_ulimits": {"nofile": {"soft": 1024, "hard": 1024}}}
EXAMPLE = Path(__file__).parents[2] / "inventories" / "example"
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


def make_site(folder: Path, guest: lab.Guest, **variables: Any) -> Path:
    """The example's inventory with a guest in its group of production hosts, whose logs go to itself.

    Args:
        folder: what is made.
        guest: the host.
        variables: of the group, beside the example's.
    """
    shutil.copytree(EXAMPLE, folder)
    production = yaml.safe_load((folder / "group_vars/production.yml").read_text())
    production["docker_daemon_log_opts"]["syslog-address"] = "udp://127.0.0.1:5514"
    production["userns_remap_exempt"] = ["agent"]
    production["converge_confirm_timeout"] = 900  # a guest on a busy machine may take minutes to log in
    production |= variables
    (folder / "group_vars/production.yml").write_text(yaml.safe_dump(production))
    hosts = hosts_of(guest)["all"]["hosts"]
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"production": {"hosts": hosts}}}}))
    return folder


class Report:
    """A run of the command line on the site, and what it reported."""

    def __init__(self, verb: str, site: Path, *options: str) -> None:
        command = [sys.executable, "-m", "hardener", verb, "-i", str(site), *options, "--json", "report.json"]
        self.done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=site.parent, timeout=3600
        )
        self.said = self.done.stderr
        report = site.parent / "report.json"
        assert report.exists(), self.said
        (host,) = json.loads(report.read_text())["hosts"]
        assert not host["unreachable"], self.said
        self.findings: list[dict[str, Any]] = host["findings"]

    def failing(self) -> set[str]:
        """Controls of the host, the engine and files that fail; which plugin authorizes, its site decides."""
        return {
            f"{each['id']} {each['slug']}: {each['actual']}"
            for each in self.findings
            if each["status"] in ("fail", "error")
            and each["section"] in ("host", "daemon", "files")
            and each["slug"] != "daemon-authz-plugin"
        }

    def failing_without_kernel(self) -> set[str]:
        """Those that fail although they need no kernel of the host's own."""
        return {each for each in self.failing() if not each.split()[1].startswith(OF_THE_KERNEL)}

    def assert_compliant(self) -> None:
        """Assert that none of these controls fails; the first line of the error names all that do."""
        failing = sorted(self.failing())
        assert not failing, f"{failing}\n{self.said}"

    @property
    def statuses(self) -> dict[str, str]:
        """How each control stands."""
        return {each["slug"]: each["status"] for each in self.findings}
