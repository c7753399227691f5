"""The whole assessment of hosts as they are: Debian 12, 13 and testing with Docker 20.10, 26.1 and 28.5."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest

from hardener import catalogue
from hardener.assess import assess
from hardener.model import Assessment, Status
from tests.unit.snapshots import RELEASES, make, recorded

ROOT = Path(__file__).parents[2]
# Their facts came with a later collector than the one that recorded these hosts.
LATER = {"file-cdi-specs", "file-engine-own", "host-carries-docker"}
DOCKER = dict(zip(RELEASES, ("20.10.24+dfsg1", "26.1.5+dfsg1", "28.5.2+dfsg4"), strict=True))
OWN = sum(control.section == "protection" for control in catalogue.every_control())
SIZES = {"cis-docker-1.6.0": 117 + OWN, "cis-docker-1.7.0": 117 + OWN, "cis-docker-1.8.0": 118 + OWN}

PASS, FAIL, MANUAL, NONE, ERROR = (
    Status.PASS,
    Status.FAIL,
    Status.MANUAL,
    Status.NOT_APPLICABLE,
    Status.ERROR,
)


@cache
def judged(release: str, benchmark: str = catalogue.DEFAULT_BENCHMARK) -> Assessment:
    return assess(recorded(release), catalogue.load(benchmark), benchmark=benchmark)


def test_recorded_and_built_snapshots_follow_the_schema() -> None:
    schema = json.loads((ROOT / "hardener" / "snapshot.schema.json").read_bytes())
    for snapshot in (*map(recorded, RELEASES), make()):
        jsonschema_rs.validate(schema, snapshot.raw)


def statuses(release: str) -> dict[str, Status]:
    return {finding.control.slug: finding.status for finding in judged(release).findings}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("benchmark", SIZES)
def test_every_host_has_the_same_number_of_findings(release: str, benchmark: str) -> None:
    assessment = judged(release, benchmark)
    assert len({finding.control.slug for finding in assessment.findings}) == SIZES[benchmark]
    assert len(assessment.findings) == SIZES[benchmark]
    assert assessment.facts["docker"] == DOCKER[release]


@pytest.mark.parametrize("release", RELEASES)
def test_only_controls_that_need_an_index_are_errors(release: str) -> None:
    errors = {
        f.control.slug: f.verdict.actual
        for f in judged(release).findings
        if f.status is ERROR and f.control.slug not in LATER
    }
    assert set(errors) <= {"host-updates-pending", "docker-version-current"}
    assert {"index of security updates" in actual for actual in errors.values()} == {True}


def test_verdicts_of_releases_differ_only_in_known_controls() -> None:
    each = {release: statuses(release) for release in RELEASES}
    differing = {
        slug: tuple(each[release][slug] for release in RELEASES)
        for slug in each["debian-13"]
        if len({each[release][slug] for release in RELEASES}) > 1
    }
    assert differing == {
        # containerd 2 has one shim.
        "audit-bin-containerd-shim": (FAIL, FAIL, NONE),
        "audit-bin-containerd-shim-runc-v1": (FAIL, FAIL, NONE),
        # Extended support and what is not released yet are for a person to look at.
        "docker-version-current": (MANUAL, ERROR, MANUAL),
        # It came with 25.0, and was off until 28.
        "file-cdi-specs": (NONE, NONE, ERROR),
        # Gone since 24.0 and 25.0.
        "daemon-storage-aufs-absent": (PASS, NONE, NONE),
        "daemon-storage-devicemapper-absent": (PASS, NONE, NONE),
    }


@pytest.mark.parametrize(
    ("slug", "status"),
    {
        "host-separate-partition": FAIL,
        "audit-daemon-json": NONE,
        "audit-dockerd": FAIL,
        "daemon-icc-disabled": FAIL,
        "daemon-no-new-privileges": FAIL,
        "daemon-seccomp-custom": PASS,
        "daemon-tls-verify": NONE,
        "daemon-userland-proxy-disabled": FAIL,
        "daemon-log-level-info": PASS,
        "daemon-live-restore": FAIL,
        "daemon-base-device-size": NONE,
        "daemon-experimental-off": PASS,
        "file-etc-docker-mode": PASS,
        "file-containerd-sock-mode": PASS,
        "file-docker-service-owner": MANUAL,  # their collector did not read NeedDaemonReload
        "file-docker-sock-owner": MANUAL,
        "image-content-trust": FAIL,  # 29 is the first client without it
        "swarm-mode-off": PASS,
        "swarm-autolock": NONE,
        "container-apparmor": PASS,
        "container-selinux": NONE,
        "container-seccomp-enabled": PASS,
        "container-no-new-privileges": FAIL,
        "container-pids-limit": FAIL,
        "host-firewall-docker-user": FAIL,
        "host-firewall-input-ipv6": FAIL,
        "host-kernel-settings": FAIL,
        "host-lsm-enforcing": PASS,
    }.items(),
)
def test_verdicts_of_new_installations_are_equal_on_all_releases(slug: str, status: Status) -> None:
    assert {release: statuses(release)[slug] for release in RELEASES} == dict.fromkeys(RELEASES, status)


@pytest.mark.parametrize("release", RELEASES)
def test_a_port_of_a_container_without_an_ipv6_address_is_open_by_ipv6_to_docker_proxy(release: str) -> None:
    (found,) = (f for f in judged(release).findings if f.control.slug == "host-firewall-docker-user")
    names = [offender.name for offender in found.verdict.offenders]
    assert names == ["web 0.0.0.0:8080/tcp", "web [::]:8080/tcp"]


@pytest.mark.parametrize("release", RELEASES)
def test_recordings_contain_only_example_addresses(release: str) -> None:
    text = (ROOT / "tests/fixtures/snapshots" / f"{release}.json").read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[\w.-]+", text)) - {"unix://"} == {"https://registry.example"}
