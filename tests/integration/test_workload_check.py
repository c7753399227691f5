"""`hardener workload check` gives generated services the verdicts that an audit gives their containers.

docker compose creates the containers on a real engine and does not start them. The audit sees them there, the
check only the files; engine and host are the same for both.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import catalogue
from hardener.assess import assess
from hardener.errors import HardenerError
from hardener.model import Assessment
from hardener.snapshot import Snapshot
from hardener.workflows.compose_check import SECTION
from hardener.workload import declared
from hardener.workload.project import configuration
from tests.integration.collecting import collect
from tests.integration.dockerd import Dockerd

SERVICES = 60
BENCHMARK = catalogue.DEFAULT_BENCHMARK
CONTROLS = catalogue.select(catalogue.load(BENCHMARK), benchmark=BENCHMARK, only=(SECTION,))
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
# For each key the values of which a service has one, or none.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "privileged": (True, False),
    "cap_add": (["NET_ADMIN"], ["ALL"], ["CHOWN", "cap_setuid"]),
    "cap_drop": (["ALL"], ["NET_RAW"]),
    "security_opt": (
        ["no-new-privileges:true"],
        ["no-new-privileges=false", "seccomp=unconfined"],
        ["seccomp:profile.json"],
        ["apparmor:unconfined", "label:disable"],
    ),
    "read_only": (True, False),
    "user": ("1000", "0:0"),
    "network_mode": ("host", "none", "bridge", "service:base"),
    "pid": ("host", "service:base"),
    "ipc": ("host", "shareable", "none"),
    "uts": ("host",),
    "userns_mode": ("host",),
    "cgroup": ("host", "private"),
    "cgroup_parent": ("own.slice", "system.slice"),
    "mem_limit": ("64m",),
    "cpus": (0.25,),
    "cpu_shares": (512, 5),
    "cpuset": ("0",),
    "pids_limit": (20, -1),
    "deploy": (
        {"resources": {"limits": {"memory": "32M", "cpus": "0.1", "pids": 5}}},
        {"resources": {"limits": {"cpus": "0.2"}}},
        {"restart_policy": {"condition": "on-failure", "max_attempts": 7}},
        {"restart_policy": {"condition": "none"}},
        {"restart_policy": {"condition": "any"}},
        {"restart_policy": {"delay": "5s"}},
        {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": "all"}]}}},
        {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "device_ids": ["0"]}]}}},
    ),
    "restart": ("always", "on-failure:3", "on-failure:9", "on-failure", "unless-stopped", "no"),
    "ulimits": ({"nofile": 1024}, {"nofile": {"soft": 10, "hard": 20}, "nproc": -1}),
    "ports": (
        ["80"],
        ["127.0.0.1:9081:81", "9053:53/udp"],
        [{"target": 443, "published": "443", "host_ip": "::1", "mode": "host"}],
        ["9090-9092:90-92"],
    ),
    "expose": (["90"],),
    "volumes": (
        ["/etc:/host:ro"],
        ["/var/run/docker.sock:/s", "data:/data"],
        [{"type": "bind", "source": "/srv", "target": "/srv", "bind": {"propagation": "shared"}}],
        [{"type": "tmpfs", "target": "/t"}, "/anonymous", "./here:/here"],
        ["root:/root-of-host"],
    ),
    "volumes_from": (["binds"], ["binds:ro"]),
    "secrets": (["token"], [{"source": "token", "target": "/etc/token"}]),
    "configs": (["settings"], [{"source": "settings", "target": "app.conf"}]),
    "tmpfs": (["/run:size=1m"], "/tmp"),
    "devices": (["/dev/fuse"], ["/dev/null:/dev/other:r"]),
    "device_cgroup_rules": (["c 1:3 r"],),
    "healthcheck": ({"test": "true", "interval": "5s"}, {"disable": True}),
    "command": (["/bin/sshd", "-D"], "sleep 1"),
    "container_name": ("named-{}",),
    "sysctls": ({"net.core.somaxconn": 10},),
}
_EXCLUSIVE = {
    "network_mode": ("ports", "sysctls", "expose"),
    "uts": (),
    "deploy": ("mem_limit", "cpus", "pids_limit"),
}


def generated(seed: int) -> dict[str, Any]:
    """A project with a service without settings, one for each value, and services with several."""
    choice = random.Random(seed)
    services: dict[str, dict[str, Any]] = {
        "base": {},
        "binds": {"volumes": ["/etc:/etc-of-host", "data:/d:ro"]},
    }
    for key, values in SETTINGS.items():
        for value in values:
            services[f"s{len(services)}"] = {key: value}
    for _ in range(SERVICES):
        keys = choice.sample(sorted(SETTINGS), choice.randint(2, 6))
        chosen = {key: choice.choice(SETTINGS[key]) for key in keys}
        for key in [each for each in keys if each in _EXCLUSIVE]:
            for other in _EXCLUSIVE[key]:
                chosen.pop(other, None)
        services[f"s{len(services)}"] = chosen
    for number, service in enumerate(services.values()):
        service["image"] = "busybox:test"
        if "container_name" in service:
            service["container_name"] = service["container_name"].format(number)
    volume = {"driver_opts": {"type": "none", "o": "bind", "device": "/"}}
    return {
        "name": "generated",
        "services": services,
        "volumes": {"data": {}, "root": volume},
        "secrets": {"token": {"file": "./profile.json"}},
        "configs": {"settings": {"file": "/etc/hostname"}},
    }


@pytest.fixture(scope="module")
def project(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("generated")
    (folder / "profile.json").write_text(json.dumps(PROFILE))
    path = folder / "compose.yaml"
    path.write_text(json.dumps(generated(seed=46)))
    compose(dockerd, path, "create", "--pull", "never")
    yield path
    compose(dockerd, path, "down", "--volumes")


def compose(engine: Dockerd, path: Path, *words: str) -> None:
    done = subprocess.run(
        ["docker", "compose", "--file", str(path), *words],
        env={**os.environ, "DOCKER_HOST": engine.host},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def judged(snapshot: Snapshot) -> Assessment:
    return assess(snapshot, CONTROLS, benchmark=BENCHMARK)


def parts(detail: str) -> tuple[str, ...]:
    """Return the parts of a detail without their order, and without the remark on what does not run."""
    plain = detail.replace(" (not running: judged by its configuration)", "")
    return tuple(sorted(plain.replace("; ", ", ").split(", ")))


def test_generated_services_get_the_verdicts_of_their_containers(dockerd: Dockerd, project: Path) -> None:
    checked = declared.snapshot(
        configuration([project]), lambda name: (project.parent / name).read_text(), host="here"
    )
    names = {each["inspect"]["Name"] for each in checked.containers}
    audited = [each for each in collect(dockerd).containers if each["inspect"]["Name"] in names]
    assert len(audited) == len(names) > SERVICES
    sources = checked.raw["sources"]
    real = {"docker.containers": {"state": "ok", "ms": 0, "data": audited}}
    by_audit = judged(Snapshot({**checked.raw, "sources": {**sources, **real}}))
    statuses = set()
    for declared_finding, finding in zip(judged(checked).findings, by_audit.findings, strict=True):
        slug = finding.control.slug
        assert declared_finding.status is finding.status, (slug, declared_finding.verdict, finding.verdict)
        found, expected = (
            {(offender.name, parts(offender.detail)) for offender in each.verdict.offenders}
            for each in (declared_finding, finding)
        )
        assert found == expected, slug
        statuses.add((slug, finding.status))
    assert sum(status == "fail" for _, status in statuses) > 15


def test_the_command_reads_a_project_without_an_engine(project: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hardener",
            "workload",
            "check",
            "--junit",
            str(tmp_path / "junit.xml"),
            str(project),
        ],
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "A container is privileged" in done.stdout
    assert "generated-base-1" in (tmp_path / "junit.xml").read_text()


@pytest.mark.parametrize("text", ["", "services:\n", "services: {}\n", "volumes: {data: {}}\n", "[]\n"])
def test_refuses_files_without_services(text: str, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    with pytest.raises(HardenerError, match=r"declares no service|docker compose cannot read"):
        configuration([path])
