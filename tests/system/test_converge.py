"""The protections and their transaction on real hosts: systemd, an engine with containers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from hardener.catalogue import DEFAULT_BENCHMARK, load
from tests.hosts import command
from tests.hosts.fixtures import Boot
from tests.hosts.play import Run, ansible_playbook, kill
from tests.hosts.waiting import until
from tests.hosts.workload import CONTAINER, ENGINE, WHOLE_HOST, running, shell

ALL = ("docker_files", "docker_daemon")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs roles on a guest and returns what the transaction did."""

    def do(guest: lab.Guest, *options: str, roles: tuple[str, ...] = ALL, **variables: Any) -> dict[str, Any]:
        return Run(guest, tmp_path, roles, **{"converge_allow": "connectivity", **variables}).result(*options)

    return do


Runs = Callable[..., dict[str, Any]]


def failing(guest: lab.Guest, folder: Path) -> dict[str, str]:
    """Controls that the two roles cover and that do not hold."""
    report = folder / "report.json"
    command.hardener("audit", guest.inventory, "--json", report, "--exit-zero")
    covered = {
        control.slug
        for control in load(DEFAULT_BENCHMARK)
        if control.remediation and control.remediation.role in ALL
    }
    return {
        slug: f"{finding['status']}: {finding['actual']}"
        for slug, finding in command.findings(report).items()
        if slug in covered and finding["status"] not in ("pass", "not_applicable")
    }


# What is for the site to choose, and not chosen here.
THE_SITES_CHOICE = {"daemon-authz-plugin", "daemon-central-logging"}


def test_check_mode_predicts_the_first_run_and_a_second_run_changes_nothing(
    boot: Boot, run: Runs, tmp_path: Path
) -> None:
    guest = boot("13")  # test_harden has the other releases
    assert failing(guest, tmp_path)
    before = shell(guest, WHOLE_HOST)
    predicted = run(guest, "--check", "--diff")
    assert predicted["outcome"] == "would_change"
    assert shell(guest, WHOLE_HOST) == before

    done = run(guest, "--diff")
    assert done["outcome"] == "changed", done
    for key in ("changes", "diff"):
        assert done[key] == predicted[key]
    actions = [(activation["name"], activation["action"]) for activation in done["activations"]]
    assert actions == [(activation["name"], activation["action"]) for activation in predicted["activations"]]
    assert ("docker", "restart docker") in actions
    assert failing(guest, tmp_path).keys() == THE_SITES_CHOICE

    settled = shell(guest, WHOLE_HOST)
    again = run(guest)
    assert (again["outcome"], again["changed"], again["pending"]) == ("unchanged", False, [])
    assert shell(guest, WHOLE_HOST) == settled


@pytest.fixture(scope="module")
def busy(pristine: Boot) -> Any:
    """A host whose engine runs containers and whose configuration a person wrote."""
    guest = pristine("13")
    guest.ssh("tee", "/etc/docker/daemon.json", stdin='{"debug": false, "max-concurrent-downloads": 2}\n')
    shell(guest, "systemctl restart docker")
    shell(guest, CONTAINER)
    yield guest
    guest.stop()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"docker_daemon_extra": {"no-such-key": 1}}, "don't match any configuration option"),
        ({"docker_daemon_log_driver": "nonsense"}, "built-in drivers"),
        (
            {"docker_daemon_extra": {"seccomp-profile": "/etc/docker/none.json"}},
            "docker_daemon_extra sets seccomp-profile: use seccomp_profile",
        ),
    ],
)
def test_an_unsuitable_key_is_refused_with_the_reason(
    busy: lab.Guest, run: Runs, variables: Mapping[str, Any], reason: str
) -> None:
    before = shell(busy, ENGINE)
    found = run(busy, "--check", roles=("docker_daemon",), **variables)
    assert any(reason in refused for refused in found["refused"]), found
    assert shell(busy, ENGINE) == before


def test_a_configuration_that_the_engine_refuses_at_start_is_rolled_back(busy: lab.Guest, run: Runs) -> None:
    before = shell(busy, ENGINE)
    assert len(running(before)) == 2, before
    wrong = {"metrics-addr": "203.0.113.1:9323"}  # not known before the engine tries
    found = run(busy, roles=("docker_daemon",), docker_daemon_extra=wrong)
    assert (found["outcome"], found["failed"]) == ("rolled_back", True), found
    assert "docker.service does not start: failed to start metrics server" in found["reason"]
    assert shell(busy, ENGINE) == before


def test_containers_survive_the_restart_and_the_bridge_setting_stays_pending(
    busy: lab.Guest, run: Runs, tmp_path: Path
) -> None:
    before, pid = running(shell(busy, ENGINE)), shell(busy, "systemctl show docker --property=MainPID")
    done = run(busy, roles=("docker_daemon",))
    assert done["outcome"] == "changed", done
    assert "switch live-restore on" in done["activations"][-1]["first"]
    assert running(shell(busy, ENGINE)) == before
    assert shell(busy, "systemctl show docker --property=MainPID") != pid
    config = json.loads(shell(busy, "cat /etc/docker/daemon.json"))
    assert config["max-concurrent-downloads"] == 2
    assert "userns-remap" not in config
    assert any("enable_icc" in note and "2 run now" in note for note in done["pending"])
    again = run(busy, roles=("docker_daemon",))
    assert (again["outcome"], len(again["pending"])) == ("unchanged", 1)
    left = {slug for slug in failing(busy, tmp_path) if slug.startswith("daemon-")}
    assert left == {"daemon-icc-disabled"} | THE_SITES_CHOICE


def test_a_run_killed_during_the_restart_is_repaired_by_the_next(
    boot: Boot, run: Runs, tmp_path: Path
) -> None:
    guest = boot("13")
    shell(guest, CONTAINER)
    before = running(shell(guest, ENGINE))
    roles = ("docker_daemon",)
    started = Run(guest, tmp_path, roles).start()
    until(guest, "grep -q 'stage.*restart' /var/lib/hardener/journal.json")
    kill(started)  # else it would have the run rolled back at once
    shell(guest, "systemctl kill --signal=KILL 'hardener-*.scope'")
    until(guest, "systemctl is-active --quiet docker")
    assert "info" in shell(guest, "cat /etc/docker/daemon.json")  # the new configuration, not yet confirmed

    done = run(guest, roles=roles)
    assert done["outcome"] == "changed", done
    assert done["recovered"]
    assert running(shell(guest, ENGINE)) == before
    assert run(guest, roles=roles)["outcome"] == "unchanged"


def test_a_single_role_changes_the_host_and_reports_an_error_in_one_line(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")

    def ansible(user: str) -> subprocess.CompletedProcess[str]:
        return ansible_playbook(
            guest,
            tmp_path,
            {"roles": ["hardener.docker.docker_files"]},
            "--become",
            f"--extra-vars=ansible_user={user}",
        )

    shell(guest, "chmod 0666 /etc/default/docker")
    done = ansible("lab")  # by sudo
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell(guest, "stat -c %a /etc/default/docker") == "644\n"
    shell(guest, "chmod 0666 /etc/default/docker && mount --bind /etc/default/docker /etc/default/docker")
    shell(guest, "mount -o remount,ro,bind /etc/default/docker")
    failed = ansible("root")
    assert failed.returncode != 0
    assert "/etc/default/docker" in failed.stdout
    assert "mounted read-only" in failed.stdout
