"""What fails is repaired on a real host: breaks drawn by a seed fail their controls, then `harden` runs.

`tests/unit/plugins/module_utils/render/test_closing.py` does the same with recorded facts of many hosts.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.production import LOG_SERVER, ULIMITS, Report, make_site

SEED = 40
EDIT = r"""
set -eu
edit() {
  python3 - "$1" "$2" <<'PYTHON'
import json, sys
path = "/etc/docker/daemon.json"
keys = json.load(open(path))
keys[sys.argv[1]] = json.loads(sys.argv[2])
json.dump(keys, open(path, "w"))
PYTHON
}
"""
# The command line of the engine: no role changes it, so the plan has to say so.
FLAG = r"""
mkdir -p /etc/systemd/system/docker.service.d
cat > /etc/systemd/system/docker.service.d/flag.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --experimental
END
systemctl daemon-reload
"""


def setting(key: str, value: Any) -> str:
    """Shell that sets a key in the engine's configuration file."""
    return f"edit {key} '{json.dumps(value)}'"


BREAKS = {
    "daemon-icc-disabled": setting("icc", True),
    "daemon-log-level-info": setting("log-level", "debug"),
    "daemon-live-restore": setting("live-restore", False),
    "daemon-no-new-privileges": setting("no-new-privileges", False),
    "daemon-userland-proxy-disabled": setting("userland-proxy", True),
    "daemon-insecure-registries-none": setting("insecure-registries", ["registry.example:5000"]),
    "daemon-default-ulimits": setting("default-ulimits", {}),
    "daemon-experimental-off": FLAG,
    "file-daemon-json-mode": "chmod 0666 /etc/docker/daemon.json",
    "file-daemon-json-owner": "chown nobody /etc/docker/daemon.json",
    "file-etc-docker-mode": "chmod 0777 /etc/docker",
    "file-docker-sock-mode": "chmod 0666 /run/docker.sock",
    "file-containerd-sock-owner": "chown nobody /run/containerd/containerd.sock",
    "file-docker-service-mode": """
        mkdir -p /opt/site
        printf '[Service]\\nEnvironment=SITE=1\\n' > /opt/site/unit.conf
        chmod 0666 /opt/site/unit.conf
        mkdir -p /etc/systemd/system/docker.service.d
        ln -s /opt/site/unit.conf /etc/systemd/system/docker.service.d/linked.conf
        systemctl daemon-reload""",
    "file-docker-socket-unit-owner": "chown nobody /usr/lib/systemd/system/docker.socket",
    "file-registry-cert-mode": """
        mkdir -p /etc/docker/certs.d/registry.example
        echo > /etc/docker/certs.d/registry.example/ca.crt
        chmod 0666 /etc/docker/certs.d/registry.example/ca.crt""",
    "docker-group-trusted-users": "usermod --append --groups docker somebody",
    "host-firewall-input-ipv4": "iptables --delete INPUT --jump HARDENER-INPUT",
    "host-firewall-input-ipv6": "ip6tables --flush HARDENER-INPUT",
    "host-updates-automatic": "systemctl disable --now apt-daily-upgrade.timer",
}


def test_what_fails_is_repaired_or_named_in_the_plan(
    guest: lab.Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    guest.ssh("sh", "-c", f"useradd somebody\n{LOG_SERVER}")
    site = make_site(tmp_path / "site", guest, **ULIMITS, docker_group_members=[])
    hardened = Report("harden", site, "--allow", "connectivity")
    assert not hardened.failing_without_kernel(), hardened.said

    drawn = sorted(BREAKS)
    random.Random(SEED).shuffle(drawn)
    for half in (drawn[::2], drawn[1::2]):
        guest.ssh("sh", "-c", "\n".join([EDIT, *(BREAKS[slug] for slug in half), "systemctl restart docker"]))
        broken = Report("audit", site)
        assert {slug: broken.statuses[slug] for slug in half} == dict.fromkeys(half, "fail"), broken.said
        repaired = Report("harden", site, "--allow", "connectivity")
        failing = {each.split()[1].rstrip(":") for each in repaired.failing_without_kernel()}
        assert failing == {"daemon-experimental-off"} & set(half), repaired.said
        reason = "daemon-experimental-off: the engine's command line sets --experimental"
        assert (reason in repaired.said) is bool(failing), repaired.said
        guest.ssh("sh", "-c", "rm -f /etc/systemd/system/docker.service.d/flag.conf; systemctl daemon-reload")
