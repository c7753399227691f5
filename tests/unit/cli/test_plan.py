from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from tests.unit.cli.bridges import DIGEST, ONLY, answer, bridge
from tests.unit.cli.fake_fleet import FakeFleet

Hardener = Callable[..., Result]


def would(fleet: FakeFleet, **more: Any) -> None:
    fleet.converge = lambda host: {
        "outcome": "would_change",
        "changed": True,
        **answer("change"),
        "changes": [{"path": "/etc/docker/daemon.json", "what": "write", "documents": ["docker_daemon_icc"]}],
        "diff": [{"path": "/etc/docker/daemon.json", "prepared": '+  "icc": false\n'}],
        "activations": [{"name": "docker", "action": "restart docker", "why": [], "stops": ["db"]}],
        **more,
    }


def test_a_plan_shows_changes_and_impacts_and_changes_nothing(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    would(fleet)
    result = hardener("plan", "-i", "inv,", *ONLY)
    assert result.exit_code == 3
    assert [(playbook, options.get("check")) for playbook, options in fleet.runs] == [
        ("audit", None),
        ("harden", True),
    ]
    assert fleet.runs[1][1]["diff"] is True
    for text in ("web1", "Would be changed (1)", "daemon-restart", "docker_daemon: docker_daemon_icc"):
        assert text in result.stdout
    assert "write /etc/docker/daemon.json" in result.stdout
    assert '+  "icc": false' in result.stdout
    assert "then restart docker: stops db" in result.stdout


def test_hosts_with_equal_plans_share_a_section(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(3)}
    would(fleet)
    stdout = hardener("plan", "-i", "inv,", *ONLY).stdout
    assert "web0, web1, web2" in stdout
    assert stdout.count("restart docker") == 1


def test_without_failures_only_the_audit_runs(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=False)}
    result = hardener("plan", "-i", "inv,", *ONLY)
    assert (result.exit_code, [playbook for playbook, _ in fleet.runs]) == (0, ["audit"])
    assert "Nothing fails." in result.stdout


def test_a_host_without_an_answer_is_part_of_the_plan(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"gone": "timed out", "web1": bridge(icc=True)}
    would(fleet)
    result = hardener("plan", "-i", "inv,", *ONLY)
    assert result.exit_code == 9
    assert "no plan: timed out" in result.stdout


def test_the_json_plan_is_complete(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    would(fleet)
    path = tmp_path / "plan.json"
    hardener("plan", "-i", "inv,", *ONLY, "--json", str(path))
    plan = json.loads(path.read_text())
    assert plan["schema"] == "hardener/plan/1"
    host = plan["hosts"]["web1"]
    (control,) = host["controls"]
    assert (control["control"], control["id"], control["role"]) == (
        "daemon-icc-disabled",
        "2.2",
        "docker_daemon",
    )
    assert (control["variable"], control["impact"], control["fate"]) == (
        "docker_daemon_icc",
        "daemon-restart",
        "change",
    )
    assert host["digest"] == DIGEST
    assert host["changes"][0]["diff"] == '+  "icc": false\n'
    assert host["activations"][0]["stops"] == ["db"]


def test_an_unwritable_file_is_refused_before_any_host_is_contacted(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    result = hardener("plan", "-i", "inv,", "--json", str(tmp_path / "no" / "plan.json"))
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr
    assert fleet.runs == []


def test_a_plan_is_shown_even_if_its_file_cannot_be_written(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    """A file takes the place of the folder while the hosts are asked: what they said is not lost."""
    folder = tmp_path / "gone"
    folder.mkdir()
    fleet.snapshots = {"web1": bridge(icc=True)}
    would(fleet)
    answered = fleet.converge

    def converge(host: str) -> dict[str, Any]:
        folder.rmdir()
        folder.write_text("")
        return answered(host)

    fleet.converge = converge
    result = hardener("plan", "-i", "inv,", *ONLY, "--json", str(folder / "plan.json"))
    assert result.exit_code == 2
    assert "then restart docker: stops db" in result.stdout
    assert "plan.json" in result.stderr
