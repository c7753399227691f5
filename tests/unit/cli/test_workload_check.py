"""``hardener workload check`` on the output of docker compose; the real one is in the integration tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.workflows import compose_check
from tests.unit.cli.histories import Hardener

COMPOSE = """\
services:
  web:
    image: web:1
    privileged: true
  db: {image: db:1}
"""
PROJECT: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {
            "image": "web:1",
            "privileged": True,
            "ports": [{"target": 80, "published": "8080", "protocol": "tcp", "host_ip": "127.0.0.1"}],
            "volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock"}],
            "restart": "always",
        },
        "db": {
            "image": "db:1",
            "cap_drop": ["ALL"],
            "read_only": True,
            "network_mode": "service:web",
            "security_opt": ["no-new-privileges:true", "seccomp=profile.json"],
            "deploy": {"resources": {"limits": {"cpus": 0.5, "memory": "1048576", "pids": 10}}},
            "userns_mode": "host",
        },
    },
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The project that docker compose prints, in whose folder the test is."""
    copy: dict[str, Any] = json.loads(json.dumps(PROJECT))
    monkeypatch.setattr(compose_check, "configuration", lambda _files: copy)
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text(COMPOSE)
    Path("profile.json").write_text('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}')
    return copy


def findings(hardener: Hardener, *options: str) -> dict[str, dict[str, Any]]:
    result = hardener("workload", "check", "--quiet", "--json", "-", *options)
    [host] = json.loads(result.stdout)["hosts"]
    return {each["slug"]: each for each in host["findings"]}


def test_services_are_judged_by_the_controls_for_containers(hardener: Hardener) -> None:
    found = findings(hardener)
    fails = {
        slug: sorted(each["name"] for each in one["offenders"])
        for slug, one in found.items()
        if one["status"] == "fail"
    }
    for slug in ("container-not-privileged", "container-no-docker-sock", "container-readonly-rootfs"):
        assert fails[slug] == ["shop-web-1"]
    assert fails["container-no-host-userns"] == ["shop-db-1"]
    assert {found[f"container-{name}"]["status"] for name in ("memory-limit", "cpu-limit")} == {"fail"}
    assert "not running" not in json.dumps(found)


def test_what_a_compose_file_does_not_decide_is_manual(hardener: Hardener, project: dict[str, Any]) -> None:
    del project["services"]["db"]["userns_mode"]
    found = findings(hardener)
    manual = {slug for slug, each in found.items() if each["status"] == "manual"}
    assert manual >= {"swarm-mode-off", "image-latest-pulled", "container-no-host-userns"}
    assert not [slug for slug, each in found.items() if each["status"] == "error"]


def test_sarif_has_the_line_of_the_service(hardener: Hardener) -> None:
    result = hardener("workload", "check", "--quiet", "--report", "sarif=-", "--only", "5.5")
    assert result.exit_code == 3
    [found] = json.loads(result.stdout)["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "compose.yaml"}
    assert place["region"] == {"startLine": 2, "startColumn": 3}


def test_a_waiver_beside_the_file_counts(hardener: Hardener) -> None:
    today = datetime.now(UTC).date()
    waiver = {
        "id": "W-1",
        "control": "container-not-privileged",
        "hosts": ["*"],
        "objects": {"container": ["shop-web-1"]},
        "reason": "An agent.",
        "owner": "ops",
        "approved_by": "J. Doe",
        "ticket": "T-1",
        "created": today.isoformat(),
        "expires": (today + timedelta(days=30)).isoformat(),
    }
    Path("waivers.yml").write_text(json.dumps({"waivers": [waiver]}))
    result = hardener("workload", "check", "--only", "5.5")
    assert "1 waived" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("only", "what"), [("2.2", "is decided by a host"), ("nothing", "no control matches 'nothing'")]
)
def test_other_controls_are_refused(hardener: Hardener, only: str, what: str) -> None:
    result = hardener("workload", "check", "--only", only)
    assert result.exit_code == 2
    assert what in result.stderr


def test_a_missing_profile_is_an_error(hardener: Hardener) -> None:
    Path("profile.json").unlink()
    result = hardener("workload", "check")
    assert result.exit_code == 2
    assert "cannot read profile.json: No such file or directory" in result.stderr


def test_files_that_docker_compose_does_not_read_are_an_error(
    hardener: Hardener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_files: object) -> None:
        raise HardenerError("docker compose cannot read compose.yaml: it is wrong")

    monkeypatch.setattr(compose_check, "configuration", refuse)
    result = hardener("workload", "check")
    assert (result.exit_code, result.stdout) == (2, "")
