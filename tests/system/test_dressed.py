"""Hosts like other distributions' hosts live with hardener from the first audit to a release."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts import dressed
from tests.hosts.command import findings, on
from tests.hosts.fixtures import Boot
from tests.hosts.workload import CONTAINERS, DAEMON_JSON, IMAGE, WHOLE_HOST, running, shell
from tests.system.hardening import EVERYTHING


class Dress(NamedTuple):
    """How a host is made, and what its own firewall is asked."""

    script: str
    reload: str
    is_up: str


DRESSES = {
    "ubuntu": Dress(dressed.UBUNTU, "ufw reload", "ufw status | grep -qx 'Status: active'"),
    "red-hat": Dress(dressed.RED_HAT, "firewall-cmd --reload", "firewall-cmd --state"),
}
WORKLOADS = f"""
{IMAGE}
docker run --detach --name web --restart always --publish 8080:80 busybox:test with httpd -f -p 80
docker run --detach --name job busybox:test stay
"""
FIXED = (
    "daemon-no-new-privileges",
    "daemon-live-restore",
    "host-firewall-docker-user",
    "host-updates-automatic",
)
# Its update that hardener installs, and times of files that ufw writes again when it is reloaded.
CHANGED = ("victim\t", "/etc/ufw/")


@pytest.mark.independent
@pytest.mark.parametrize("name", DRESSES)
def test_a_host_of_another_distribution_is_hardened_kept_so_and_released(
    boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    dress, host = DRESSES[name], boot("13")
    host.ssh("sh", "-c", dress.script, timeout=900)
    host.ssh("sh", "-c", WORKLOADS)
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    hardener = on(host.inventory, cwd=tmp_path)
    before = shell(host, EVERYTHING)

    audit = hardener("audit", "--json", "audit.json")
    found = findings(tmp_path / "audit.json")
    assert [slug for slug, each in found.items() if each["status"] == "error"] == []
    assert (found["host-updates-automatic"]["status"] == "pass") == (name == "ubuntu"), audit.stdout
    assert "victim" in found["host-updates-pending"]["actual"]
    plan = hardener("plan")
    assert plan.returncode == 3, plan.stderr
    assert "no plan" not in plan.stdout

    hardened = hardener("harden", "--allow", "connectivity", "--json", "hardened.json")
    assert hardened.returncode == 3, hardened.stderr
    fixed = findings(tmp_path / "hardened.json")
    for slug in FIXED:
        assert fixed[slug]["status"] == "pass", fixed[slug]
    assert "victim" not in fixed["host-updates-pending"]["actual"]
    host.ssh("sh", "-c", dress.is_up)
    containers, whole = running(shell(host, CONTAINERS)), shell(host, WHOLE_HOST)
    assert len(containers) == 2
    again = hardener("harden", "--allow", "connectivity")
    assert again.returncode == 3, again.stderr
    assert shell(host, WHOLE_HOST) == whole

    shell(host, f"chmod 0666 {DAEMON_JSON}; {dress.reload}")
    drifted = hardener("drift", "--remediate")
    assert drifted.returncode == 7, drifted.stdout + drifted.stderr
    assert hardener("drift").returncode == 0
    assert hardener("rollback").returncode == 0

    released = hardener("release")
    assert released.returncode == 0, released.stderr
    after = shell(host, EVERYTHING)
    different = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    assert [line for line in different if not line.startswith(CHANGED)] == [], released.stderr
    assert running(shell(host, CONTAINERS)) == containers
