from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hardener.errors import ExitCode
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import make, no_engine, with_containers
from tests.unit.workload.containers import least, running
from tests.unit.workload.profile_folders import seccomp_option, write_profile

Hardener = Callable[..., Result]


@pytest.fixture(autouse=True)
def own_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of docker's on this machine has a say."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hosts(fleet: FakeFleet) -> FakeFleet:
    fleet.snapshots = {
        "web1": with_containers(running("app"), least("tight")),
        "web2": with_containers(running("proxy", proc={"host_namespaces": ["net", "user"]})),
    }
    return fleet


def test_every_container_of_every_host_is_listed(
    hardener: Hardener, hosts: FakeFleet, tmp_path: Path
) -> None:
    result = hardener("workload", "audit", "-i", "inv,", "--json", str(tmp_path / "found.json"))
    assert result.exit_code == ExitCode.COMPLIANT
    assert "3 containers on 2 hosts: 1 high, 1 medium, 1 low" in result.stdout
    assert result.stdout.index("proxy") < result.stdout.index("app") < result.stdout.index("tight")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [host["host"] for host in found["hosts"]] == ["web1", "web2"]
    assert (tmp_path / "found.json").stat().st_mode & 0o777 == 0o600
    (playbook, options), *more = hosts.runs
    assert (playbook, list(options["variables"]), more) == ("audit", ["collect_dest"], [])


def test_without_an_inventory_this_machine_is_audited(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"localhost": with_containers(running("app"))}
    result = hardener("workload", "audit")
    assert result.exit_code == ExitCode.COMPLIANT
    assert fleet.options["inventory"] == "localhost,"


def test_the_engine_of_the_docker_client_is_used(
    hardener: Hardener, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.snapshots = {"localhost": with_containers()}
    monkeypatch.setenv("DOCKER_HOST", "unix:///srv/docker.sock")
    assert hardener("workload", "audit").exit_code == ExitCode.COMPLIANT
    assert fleet.runs[-1][1]["variables"]["collect_socket"] == "/srv/docker.sock"
    # which says nothing about other hosts
    assert hardener("workload", "audit", "-i", "web1,").exit_code == ExitCode.COMPLIANT
    assert "collect_socket" not in fleet.runs[-1][1]["variables"]


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.1:2376", "unix:///run/user/1000/docker.sock", "unix:///h/.docker/desktop/docker.sock"],
)
def test_an_engine_that_cannot_be_audited_is_refused_in_one_line(
    hardener: Hardener, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    result = hardener("workload", "audit")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("hardener: error: DOCKER_HOST names ")
    assert len(result.stderr.splitlines()) == 1
    assert not fleet.runs


def test_a_host_that_cannot_be_judged_makes_the_audit_incomplete(
    hardener: Hardener, hosts: FakeFleet, tmp_path: Path
) -> None:
    hosts.snapshots |= {
        "gone": "connection refused",
        "bare": no_engine(),
        "desktop": make(**{"docker.info": {"OperatingSystem": "Docker Desktop"}}),
    }
    result = hardener("workload", "audit", "-i", "inv,", "--json", str(tmp_path / "found.json"))
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "gone: connection refused" in result.stdout
    assert "bare: Docker is not installed" in result.stdout
    found = {
        host["host"]: host["error"] for host in json.loads((tmp_path / "found.json").read_text())["hosts"]
    }
    assert found["web1"] is None
    assert "Docker Desktop" in found["desktop"]
    assert found["gone"] == "connection refused"


def test_a_missing_fact_makes_the_audit_incomplete(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": with_containers(running("app", proc={"cap_eff": None}))}
    result = hardener("workload", "audit", "-i", "inv,")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "app: capabilities: " in result.stdout


def test_containers_under_a_profile_are_compared_with_the_recording(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    write_profile(tmp_path)
    app = running("app", HostConfig={"SecurityOpt": [seccomp_option(tmp_path)]})
    fleet.snapshots = {"web1": with_containers(app, running("other"))}
    result = hardener("workload", "audit", "-i", "inv,", "--profile", str(tmp_path))
    assert result.exit_code == ExitCode.COMPLIANT
    told = " ".join(result.stdout.partition("Under a profile")[2].split())
    assert "its identity has changed since the recording" in told
    assert "image digest: sha256:aaa" in told
    assert "other: " not in told


def test_a_folder_without_a_profile_is_refused_before_any_host_is_contacted(
    hardener: Hardener, hosts: FakeFleet, tmp_path: Path
) -> None:
    result = hardener("workload", "audit", "-i", "inv,", "--profile", str(tmp_path))
    assert result.exit_code == ExitCode.USAGE
    assert "profile.json" in result.stderr
    assert not hosts.runs


def test_an_unwritable_output_file_is_refused_before_any_host_is_contacted(
    hardener: Hardener, hosts: FakeFleet, tmp_path: Path
) -> None:
    result = hardener("workload", "audit", "-i", "inv,", "--json", str(tmp_path / "no" / "such" / "folder"))
    assert result.exit_code == ExitCode.USAGE
    assert not hosts.runs
