"""A plan on a real host: what it says is what happens, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts import command
from tests.hosts.command import Hardener
from tests.hosts.workload import ENGINE, WHOLE_HOST, running, shell, with_containers

# A unit that ends all its processes when it is stopped: live-restore is of no use then.
KILLS_ALL = r"""
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\nKillMode=control-group\n' >/etc/systemd/system/docker.service.d/kill.conf
systemctl daemon-reload
"""
KILLS_DOCKERD = "rm /etc/systemd/system/docker.service.d/kill.conf && systemctl daemon-reload"


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A guest with two containers, of which one has a restart policy."""
    with_containers(guest)
    shell(guest, "docker update --restart always web")
    return guest


@pytest.fixture
def hardener(host: lab.Guest, tmp_path: Path) -> Hardener:
    """Runs the command line on the host, for the controls of the engine."""
    return command.on(host.inventory, "--only", "daemon", cwd=tmp_path)


def planned(hardener: Hardener, tmp_path: Path, *options: str) -> dict[str, Any]:
    """The plan for the host."""
    done = hardener("plan", "--json", "plan.json", *options)
    assert done.returncode == 3, done.stderr
    (plan,) = json.loads((tmp_path / "plan.json").read_text())["hosts"].values()
    return dict(plan)


def state(host: lab.Guest) -> list[str]:
    """All of the host that a protection may touch, but for our own lock."""
    return [line for line in shell(host, WHOLE_HOST).splitlines() if "/var/lib/hardener" not in line]


def fates(plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What becomes of each variable, and at what cost."""
    return {
        each["variable"].removeprefix("docker_daemon_"): (each["fate"], each["impact"])
        for each in plan["controls"]
        if each["fate"] != "no-role" and each["role"] == "docker_daemon"
    }


def test_a_restart_that_would_stop_containers_is_held_with_their_names(
    host: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    shell(host, KILLS_ALL)
    before = state(host)
    plan = planned(hardener, tmp_path)
    assert fates(plan)["no_new_privileges"] == ("held", "containers-stop")
    assert fates(plan)["live_restore"] == ("change", "reload")
    reasons = {each["variable"]: each["reason"] for each in plan["controls"] if "variable" in each}
    reason = reasons["docker_daemon_no_new_privileges"]
    assert "would stop 2 containers (job, web): docker.service ends all its processes" in reason
    assert "not started again, since they have no restart policy: 1 containers (job)" in reason
    assert reasons["docker_daemon_icc"].endswith(
        "its containers no longer reach each other: job, web; allow connectivity to apply it"
    )
    assert [each["action"] for each in plan["activations"]] == ["reload docker"]
    allowed = planned(hardener, tmp_path, "--allow", "containers-stop")
    assert fates(allowed)["no_new_privileges"] == ("change", "containers-stop")
    (restart,) = [each for each in allowed["activations"] if each["name"] == "docker"]
    assert (restart["stops"], restart["stay_down"]) == (["job", "web"], ["job"])
    assert state(host) == before
    shell(host, KILLS_DOCKERD)


def test_a_host_that_changed_since_the_plan_refuses_it(
    host: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    planned(hardener, tmp_path)
    shell(host, """mkdir -p /etc/docker && echo '{"debug": false}' >/etc/docker/daemon.json""")
    before = state(host)
    done = hardener("harden", "--plan", "plan.json")
    assert done.returncode == 9
    assert "nothing was changed: this host or hardener has changed since the plan was made" in done.stderr
    assert state(host) == before


def test_exactly_the_plan_is_applied_and_containers_keep_running(
    host: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    engine = running(shell(host, ENGINE))
    plan = planned(hardener, tmp_path)
    done = hardener("harden", "--plan", "plan.json", "--diff", "--json", "report.json")
    assert done.returncode == 3, done.stderr  # central logging needs a target, which is not named here
    for change in plan["changes"]:
        assert change["diff"] in done.stdout
    assert running(shell(host, ENGINE)) == engine
    findings = json.loads((tmp_path / "report.json").read_text())["hosts"][0]["findings"]
    passing = {finding["slug"] for finding in findings if finding["status"] == "pass"}
    changed = {each["control"] for each in plan["controls"] if each["fate"] == "change"}
    assert changed - passing <= {"daemon-icc-disabled"}  # the bridge waits until no container runs
    again = planned(hardener, tmp_path)
    assert (again["changes"], again["activations"]) == ([], [])
