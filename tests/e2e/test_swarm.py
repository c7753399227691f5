"""A swarm: what is possible happens, what a swarm excludes is refused with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts import command
from tests.hosts.command import Hardener
from tests.hosts.guard import STATE
from tests.hosts.neighbour import NEIGHBOUR, SERVICES, reached
from tests.hosts.play import Run
from tests.hosts.waiting import until
from tests.hosts.workload import DAEMON_JSON, shell


@pytest.fixture
def hardener(guest: lab.Guest, tmp_path: Path) -> Hardener:
    """Runs the command line on the host."""
    return command.on(guest.inventory, cwd=tmp_path)


def findings(folder: Path) -> dict[str, dict[str, Any]]:
    """What the last report says of the host."""
    return command.findings(folder / "report.json")


SWARM = rf"""
set -eu
docker rm --force $(docker ps --all --quiet)
rm -f {DAEMON_JSON}
systemctl restart docker
docker swarm init --advertise-addr 10.0.2.15
docker service create --detach --no-resolve-image --name shop --replicas 2 --publish 8080:80 \
  busybox:web httpd -f -p 80 -h /www
"""
REPLICAS = "docker service ls --format '{{.Name}} {{.Replicas}}'"
TASKS = "docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort"
ALL = ("--only", "daemon", "--only", "host-firewall-docker-user", "--json", "report.json")


def test_a_swarm_manager_gets_all_protections_that_swarm_mode_permits(
    guest: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    shell(guest, f"{SERVICES}")
    shell(guest, NEIGHBOUR)
    done = guest.ssh("sh", "-c", SWARM, check=False)
    assert done.returncode == 0, done.stderr
    until(guest, f"{REPLICAS} | grep -q 2/2")
    before, tasks = shell(guest, STATE), shell(guest, TASKS)
    assert reached(guest)["10.77.0.1:8080"] == "hello"

    held = hardener("harden", *ALL)
    assert held.returncode == 3, held.stderr
    assert "would stop 2 containers (shop.1." in held.stderr
    assert "allow containers-stop to apply it" in held.stderr
    assert "restart policy" not in held.stderr  # the swarm itself starts them anew
    assert "this host is part of a swarm, whose state would be lost" in held.stderr
    live_restore = findings(tmp_path)["daemon-live-restore"]
    assert live_restore["status"] == "not_applicable"
    assert "swarm mode is on, which excludes live-restore" in live_restore["actual"]
    assert (shell(guest, STATE), shell(guest, TASKS)) == (before, tasks)

    done = hardener("harden", *ALL, "--allow", "containers-stop")
    assert done.returncode == 3, done.stderr
    until(guest, f"{REPLICAS} | grep -q 2/2")
    after = findings(tmp_path)
    open_still = {slug for slug, each in after.items() if each["status"] == "fail"}
    assert open_still == {"daemon-userns-remap", "daemon-authz-plugin"}
    assert "live-restore" not in shell(guest, f"cat {DAEMON_JSON}")
    assert reached(guest)["10.77.0.1:8080"] == "hello"
    before, tasks = shell(guest, STATE), shell(guest, TASKS)
    again = hardener("harden", *ALL, "--allow", "containers-stop")
    assert findings(tmp_path) == after, again.stderr
    assert (shell(guest, STATE), shell(guest, TASKS)) == (before, tasks)


def test_live_restore_on_a_swarm_is_refused_with_the_reason(guest: lab.Guest, tmp_path: Path) -> None:
    done = Run(guest, tmp_path, ("docker_daemon",)).result("--check")
    fates = {each["name"]: (each["state"], each["reason"]) for each in done["documents"]}
    reason = "this host is part of a swarm, which excludes live-restore"
    assert fates["docker_daemon_live_restore"] == ("refused", reason)
