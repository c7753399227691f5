"""The collector on a whole machine: however it travels it says the same, leaves nothing, starts nothing."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from hardener.content import collections_path
from tools import collector

PLAY = """
- hosts: all
  gather_facts: false
  roles: [{role: hardener.docker.collect, collect_dest: "{{ dest }}", collect_facts: []}]
"""
# What differs between two looks at the same host.
MOVES = (
    "uptime_s",
    "index_age_s",
    "SystemTime",
    "NFd",
    "NGoroutines",
    "ms",
    "packets",
    "bytes",
    "ipv4",
    "ipv6",
    "/run",  # its time of change: logins and systemd make files there
)

Collect = Callable[..., dict[str, Any]]


@pytest.fixture
def collect(guest: lab.Guest, tmp_path: Path) -> Collect:
    """Collect through Ansible and return the sources."""

    def run(*options: str, pipelining: bool = True) -> dict[str, Any]:
        play, dest = tmp_path / "play.yml", tmp_path / "snapshots"
        play.write_text(PLAY)
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_PIPELINING": str(pipelining),
            "ANSIBLE_REMOTE_TEMP": "/tmp/ansible-remote",
        }
        playbook = Path(sys.executable).parent / "ansible-playbook"
        ended = subprocess.run(
            [playbook, "-i", guest.inventory, "-e", json.dumps({"dest": str(dest)}), *options, play],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (path,) = dest.iterdir()
        sources = json.loads(path.read_text())["sources"]
        return dict(sources)

    return run


def still(value: Any) -> Any:
    """A value without what differs between two looks."""
    if isinstance(value, dict):
        return {key: still(item) for key, item in value.items() if key not in MOVES}
    return [still(item) for item in value] if isinstance(value, list) else value


def test_the_snapshot_is_the_same_over_each_connection(
    guest: lab.Guest, collect: Collect, tmp_path: Path
) -> None:
    as_root = still(collect())
    assert as_root["docker.info"]["state"] == "ok"
    assert as_root["engine"]["data"]["pid_from"] == "systemd"
    for options in (("-e", "ansible_user=lab", "-b"), ()):
        assert still(collect(*options, pipelining=False)) == as_root
    assert still(collect("-e", "ansible_user=lab", "-b")) == as_root
    left = guest.ssh("find", "/tmp/ansible-remote", "-type", "f", check=False)
    assert left.stdout == ""

    collector.make(tmp_path / "one.pyz")
    packed = base64.b64encode((tmp_path / "one.pyz").read_bytes()).decode()
    guest.ssh("sh", "-c", "base64 -d > /run/host_snapshot.pyz", stdin=packed)
    by_hand = json.loads(guest.ssh("python3", "/run/host_snapshot.pyz").stdout)["sources"]
    assert still(by_hand) == as_root


def test_an_unprivileged_snapshot_names_each_source_that_it_could_not_read(collect: Collect) -> None:
    sources = collect("-e", "ansible_user=lab")
    assert "Permission denied" in sources["docker.containers"]["error"]
    assert sources["docker.containers"]["state"] == "failed"
    assert sources["engine"]["data"]["reachable"] is False
    assert sources["system"]["state"] == "ok"
    # sudo to a user who may not read what root has transferred
    other = collect("-b", "-e", "ansible_become_method=su", "-e", "ansible_become_user=lab", pipelining=False)
    assert other["docker.containers"]["state"] == "failed"


def test_collecting_does_not_start_the_daemon(guest: lab.Guest, collect: Collect) -> None:
    guest.ssh("systemctl", "stop", "docker.service")
    try:
        sources = collect()
        assert sources["engine"]["data"]["error"] == "the daemon does not run"
        assert sources["daemon.config"]["data"]["argv_from"] == "unit"
        assert sources["units"]["data"]["docker.socket"]["ActiveState"] == "active"
        active = guest.ssh("systemctl", "is-active", "docker.service", "docker.socket", check=False)
        assert active.stdout.split() == ["inactive", "active"]
    finally:
        guest.ssh("systemctl", "start", "docker.service")
