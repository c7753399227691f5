"""Snapshots of Debian 12, 13 and testing with their Docker 20.10, 26.1 and 28.5, and of the builder."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from hardener.checks import all_checks
from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import RELEASES, make, recorded

SCHEMA = Path(__file__).parents[3] / "hardener" / "snapshot.schema.json"
NO_INDEX = {
    "host-updates-pending",
    "docker-version-current",
}  # what an index that was never fetched cannot say
# Their facts came with a later collector than the one that recorded these hosts.
LATER = {"file-cdi-specs", "file-engine-own", "host-carries-docker"}


def test_recorded_and_built_snapshots_follow_the_schema() -> None:
    schema = json.loads(SCHEMA.read_bytes())
    for snapshot in (*map(recorded, RELEASES), make()):
        jsonschema_rs.validate(schema, snapshot.raw)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("slug", sorted(all_checks()))
def test_every_control_of_a_recorded_host_has_a_verdict_and_no_unexpected_error(
    judge: Judge, release: str, slug: str
) -> None:
    try:
        verdict = judge(slug, recorded(release))
    except FactUnavailable:
        assert slug in NO_INDEX | LATER
        return
    assert verdict.status in (Status.PASS, Status.FAIL, Status.MANUAL, Status.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("daemon-storage-aufs-absent", (Status.PASS, Status.NOT_APPLICABLE, Status.NOT_APPLICABLE)),
        ("daemon-storage-devicemapper-absent", (Status.PASS, Status.NOT_APPLICABLE, Status.NOT_APPLICABLE)),
        ("daemon-no-new-privileges", (Status.FAIL, Status.FAIL, Status.FAIL)),
        ("daemon-seccomp-custom", (Status.PASS, Status.PASS, Status.PASS)),
        ("daemon-userland-proxy-disabled", (Status.FAIL, Status.FAIL, Status.FAIL)),
        ("daemon-tls-verify", (Status.NOT_APPLICABLE, Status.NOT_APPLICABLE, Status.NOT_APPLICABLE)),
        ("audit-dockerd", (Status.FAIL, Status.FAIL, Status.FAIL)),
        ("audit-bin-containerd-shim", (Status.FAIL, Status.FAIL, Status.NOT_APPLICABLE)),
        ("file-docker-service-owner", (Status.MANUAL,) * 3),  # their collector did not read NeedDaemonReload
        ("file-docker-sock-owner", (Status.MANUAL,) * 3),  # their collector did not read NeedDaemonReload
        ("host-lsm-enforcing", (Status.PASS, Status.PASS, Status.PASS)),
        ("host-firewall-input-ipv6", (Status.FAIL, Status.FAIL, Status.FAIL)),
    ],
)
def test_verdicts_differ_between_releases_only_where_engines_differ(
    judge: Judge, slug: str, expected: tuple[Status, ...]
) -> None:
    assert tuple(judge(slug, recorded(release)).status for release in RELEASES) == expected


@pytest.mark.parametrize("release", RELEASES)
def test_a_published_port_is_open_to_a_container_without_an_ipv6_address_by_ipv4_alone(
    judge: Judge, release: str
) -> None:
    verdict = judge("host-firewall-docker-user", recorded(release))
    assert [offender.name for offender in verdict.offenders] == ["web 0.0.0.0:8080/tcp"]
