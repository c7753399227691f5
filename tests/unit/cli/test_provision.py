from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener.snapshot import Snapshot
from tests.unit.cli.bridges import ONLY, bridge, changing
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import no_engine, silent_engine

Hardener = Callable[..., Result]


def installing(fleet: FakeFleet, engine: Snapshot) -> Callable[[str], dict[str, Any]]:
    """An installation that succeeds, after which the host is that one."""

    def install(host: str) -> dict[str, Any]:
        fleet.snapshots[host] = engine
        return {"msg": "created /etc/docker/daemon.json; start docker"}

    return install


def playbooks(fleet: FakeFleet) -> list[str]:
    return [playbook for playbook, _ in fleet.runs]


@pytest.mark.parametrize("without", [no_engine(), silent_engine()], ids=["bare", "held"])
def test_docker_is_installed_and_the_host_hardened(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, without: Snapshot
) -> None:
    fleet.snapshots = {"new": without, "old": bridge(icc=False)}
    fleet.install = installing(fleet, bridge(icc=True))
    fleet.converge = changing(fleet)
    result = hardener("provision", "-i", "inv,", *ONLY, "--json", str(tmp_path / "report.json"))
    assert result.exit_code == 0
    assert playbooks(fleet) == ["audit", "provision", "audit", "harden", "audit"]
    assert fleet.runs[1][1]["variables"] == {"provision_hosts": ["new"], "harden_plan": {}}
    assert fleet.runs[3][1]["variables"] == {"harden_plan": {"new": {"docker_daemon": ["docker_daemon_icc"]}}}
    assert "install: new\n" in result.stderr
    assert "new: created /etc/docker/daemon.json; start docker\n" in result.stderr
    # The comparison is with the host as it was, not with what the installation left to be done.
    before = json.loads((tmp_path / "report.before.json").read_text())
    assert before["summary"]["counts"].get("fail", 0) == 0


def test_an_installed_engine_that_passes_all_controls_is_not_hardened_again(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"new": no_engine()}
    fleet.install = installing(fleet, bridge(icc=False))
    result = hardener("provision", "-i", "inv,", *ONLY)
    assert result.exit_code == 0
    assert playbooks(fleet) == ["audit", "provision", "audit", "audit"]
    assert "no role remediates a failing control" in result.stderr


def test_hosts_with_an_engine_are_only_hardened(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"old": bridge(icc=True)}
    fleet.converge = changing(fleet)
    assert hardener("provision", "-i", "inv,", *ONLY).exit_code == 0
    assert playbooks(fleet) == ["audit", "harden", "audit"]
    assert "install" not in hardener("provision", "-i", "inv,", *ONLY).stderr


def test_a_failed_installation_is_not_a_success(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"new": no_engine()}
    fleet.install = lambda host: {"failed": True, "msg": "Unable to locate package docker.io"}
    result = hardener("provision", "-i", "inv,", *ONLY)
    assert result.exit_code == 9
    assert "new: failed: Unable to locate package docker.io\n" in result.stderr


def test_a_rolled_back_installation_of_an_engine_gives_exit_code_5(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"new": no_engine()}
    fleet.install = lambda host: {"failed": True, "outcome": "rolled_back", "msg": "rolled back: no start"}
    assert hardener("provision", "-i", "inv,", *ONLY).exit_code == 5


def test_docker_is_not_installed_on_an_unreachable_host(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"gone": "timed out"}
    assert hardener("provision", "-i", "inv,", *ONLY).exit_code == 9
    assert playbooks(fleet) == ["audit"]


def test_the_option_check_installs_no_package(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"new": no_engine()}
    result = hardener("provision", "-i", "inv,", *ONLY, "--check", "--diff")
    assert result.exit_code == 0
    assert playbooks(fleet) == ["audit", "provision"]
    assert (fleet.runs[1][1]["check"], fleet.runs[1][1]["diff"]) == (True, True)


def test_each_batch_is_installed_and_hardened_before_the_next_begins(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {
        "new": no_engine(),
        "old": bridge(icc=True),
        "done": bridge(icc=False),
        "bare": no_engine(),
    }
    fleet.install = installing(fleet, bridge(icc=True))
    fleet.converge = changing(fleet)
    result = hardener("provision", "-i", "inv,", *ONLY, "--canary", "1", "--batch", "1")
    assert result.exit_code == 0
    assert list(zip(playbooks(fleet), fleet.reached, strict=True)) == [
        ("audit", ["new", "old", "done", "bare"]),
        *[("provision", ["new"]), ("audit", ["new"]), ("harden", ["new"]), ("audit", ["new"])],
        *[("harden", ["old"]), ("audit", ["old"])],
        *[("provision", ["bare"]), ("audit", ["bare"]), ("harden", ["bare"])],
        ("audit", ["new", "old", "done", "bare"]),
    ]


def test_a_failed_installation_on_a_canary_ends_the_run(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"new": no_engine(), "old": bridge(icc=True)}
    fleet.install = lambda host: {"failed": True, "msg": "Unable to locate package docker.io"}
    result = hardener("provision", "-i", "inv,", *ONLY, "--canary", "1")
    assert result.exit_code == 8
    assert "harden" not in playbooks(fleet)
    assert "not begun: old: 1 failed where --max-fail allows 0 (new: Unable to locate" in result.stderr
