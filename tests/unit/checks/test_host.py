from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hardener.model import Offender, Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit import scans
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import failed, make, no_engine, only


def mount(point: str, device: str, **changes: Any) -> dict[str, Any]:
    base = {"mount_point": point, "root": "/", "device": device, "fstype": "ext4", "source": f"/dev/{device}"}
    return {**base, "options": "rw", "propagation": "shared", **changes}


ROOT = mount("/", "254:1")
DISK = mount("/var/lib/docker", "254:16")
SNAPSHOTTER = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}


@pytest.mark.parametrize(
    ("mounts", "info", "status"),
    [
        ([ROOT, DISK], {}, Status.PASS),
        ([ROOT], {}, Status.FAIL),
        ([ROOT, mount("/var", "254:2")], {}, Status.FAIL),
        ([ROOT, mount("/var/lib/docker", "254:1", root="/srv/docker")], {}, Status.FAIL),
        ([ROOT, mount("/var/lib/docker2", "254:16")], {}, Status.FAIL),
        ([ROOT, mount("/var/lib/docker/overlay2/x/merged", "0:44")], {}, Status.FAIL),
        ([ROOT, DISK, mount("/var/lib/docker", "254:1")], {}, Status.FAIL),
        ([ROOT, DISK], {"DockerRootDir": "/srv/docker"}, Status.FAIL),
        ([ROOT, mount("/srv/docker", "254:16")], {"DockerRootDir": "/srv/docker/100000.100000"}, Status.PASS),
        ([ROOT, DISK], SNAPSHOTTER, Status.FAIL),
        ([ROOT, DISK, mount("/var/lib/containerd", "254:32")], SNAPSHOTTER, Status.PASS),
    ],
)
def test_the_data_root_must_be_on_its_own_device(
    judge: Judge, mounts: Any, info: Any, status: Status
) -> None:
    verdict = judge("host-separate-partition", make(mounts=mounts, **{"docker.info": info}))
    assert verdict.status is status, verdict
    assert bool(verdict.offenders) is (status is Status.FAIL)


def test_the_data_partition_of_a_stopped_engine_is_an_error(judge: Judge) -> None:
    snapshot = make(mounts=[ROOT, DISK], **{"docker.info": failed("connection refused")})
    with pytest.raises(FactUnavailable):
        judge("host-separate-partition", snapshot)


def group(**changes: Any) -> dict[str, Any]:
    return {"docker": {"gid": 103, **changes}}


@pytest.mark.parametrize(
    ("sources", "policy", "status", "names"),
    [
        ({}, {}, Status.PASS, set()),
        ({}, {"docker_group_members": []}, Status.PASS, set()),
        ({"groups": group(members=["root"])}, {}, Status.PASS, set()),
        ({"groups": group(members=["deploy"])}, {}, Status.MANUAL, {"deploy"}),
        ({"groups": group(members=["deploy"])}, {"docker_group_members": ["deploy"]}, Status.PASS, set()),
        ({"groups": group(members=["deploy"])}, {"docker_group_members": []}, Status.FAIL, {"deploy"}),
        (
            {"groups": group(members=["deploy"], primary=["eve"])},
            {"docker_group_members": ["deploy"]},
            Status.FAIL,
            {"eve"},
        ),
    ],
)
def test_members_of_the_docker_group_pass_only_if_the_policy_approves_them(
    judge: Judge, sources: Any, policy: Any, status: Status, names: set[str]
) -> None:
    verdict = judge("docker-group-trusted-users", make(policy=policy, **sources))
    assert verdict.status is status, verdict
    assert {offender.name for offender in verdict.offenders} == names


def test_without_a_policy_members_of_the_docker_group_are_manual(judge: Judge) -> None:
    verdict = judge("docker-group-trusted-users", make(groups=group(members=["deploy"], primary=["eve"])))
    assert "deploy, eve" in verdict.actual
    assert "docker_group_members" in verdict.actual


def test_unapproved_members_of_the_sockets_group_fail_whatever_the_group_is_called(judge: Judge) -> None:
    snapshot = make(
        files={"/run/docker.sock": {"group": "ops", "gid": 200}},
        groups={"ops": {"gid": 200, "members": ["eve"], "primary": []}},
        policy={"docker_group_members": ["deploy"]},
    )
    verdict = judge("docker-group-trusted-users", snapshot)
    assert {offender.name for offender in verdict.offenders} == {"eve"}


def test_users_who_can_write_to_the_socket_by_acl_or_mode_fail(judge: Judge) -> None:
    entries = [
        {"tag": "user", "id": 1000, "name": "eve", "perms": "rw-"},
        {"tag": "user", "id": 1001, "name": "reader", "perms": "r--"},
        {"tag": "group", "id": 50, "name": "staff", "perms": "rw-"},
        {"tag": "mask", "id": None, "name": None, "perms": "rw-"},
    ]
    policy: dict[str, Any] = {"docker_group_members": []}
    verdict = judge(
        "docker-group-trusted-users", make(policy=policy, files={"/run/docker.sock": {"acl": entries}})
    )
    assert {offender.name for offender in verdict.offenders} == {"eve", "group staff"}
    verdict = judge("docker-group-trusted-users", make(files={"/run/docker.sock": {"mode": "0666"}}))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"every local user"}


def test_members_of_a_group_without_write_permission_pass(judge: Judge) -> None:
    snapshot = make(groups=group(members=["eve"]), files={"/run/docker.sock": {"mode": "0600"}})
    assert judge("docker-group-trusted-users", snapshot).status is Status.PASS


def test_the_control_of_docker_group_members_is_not_applicable_to_a_rootless_daemon(judge: Judge) -> None:
    verdict = judge("docker-group-trusted-users", make(engine={"rootless": True}))
    assert verdict.status is Status.NOT_APPLICABLE


def test_without_a_socket_members_of_the_declared_group_are_manual(judge: Judge) -> None:
    gone = {"/run/docker.sock": None, "/var/run/docker.sock": None}
    snapshot = make(files=gone, groups=group(members=["eve"]), engine={"socket": None})
    assert judge("docker-group-trusted-users", snapshot).status is Status.MANUAL


def test_a_group_that_was_not_collected_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="docker"):
        judge("docker-group-trusted-users", make(groups=only({})))


@pytest.mark.parametrize("policy", [{"docker_group_members": "deploy"}, {"docker_group_members": [1]}])
def test_approved_members_of_the_wrong_type_are_an_error(judge: Judge, policy: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge("docker-group-trusted-users", make(policy=policy, groups=group(members=["deploy"])))


def test_a_hostile_name_is_shown_on_one_line(judge: Judge) -> None:
    verdict = judge("docker-group-trusted-users", make(groups=group(members=["a\nb\x1b[31m"])))
    assert "\n" not in verdict.actual
    assert "\x1b" not in verdict.actual


@pytest.mark.parametrize(
    "snapshot", [make(), no_engine(), make(system=failed("denied"), packages=failed("apt is locked"))]
)
def test_a_manual_verdict_has_evidence_for_an_attestation(judge: Judge, snapshot: Snapshot) -> None:
    verdict = judge("host-hardened", snapshot)
    assert verdict.status is Status.MANUAL
    assert any("host-updates-pending" in fact for fact in verdict.evidence)
    assert any("kernel" in fact or "not collected" in fact for fact in verdict.evidence)


class TestHardened:
    SLUG = "host-hardened"
    RULE: ClassVar[dict[str, str]] = {"id": "grub2_password", "severity": "high", "title": "Set a password"}

    def evaluated(self, *failed: Any, policy: Any = None, **changes: Any) -> Snapshot:
        """A host that OpenSCAP has evaluated."""
        found = {
            "evaluated_at": scans.SCANNED,
            "error": None,
            "tool": "oscap 1.4",
            "content": "ssg-debian13-ds.xml",
            "profile": "cis_level1_server",
            "counts": {"pass": 200, "fail": len(failed), "notapplicable": 10},
            "failed": list(failed),
            "more": 0,
            **changes,
        }
        source = {"hardener.scan": {"record": scans.record(openscap=found), "packages_changed": False}}
        return Snapshot({**make(policy=policy, **source).raw, "collected_at": scans.NOW})

    def test_an_openscap_evaluation_without_a_failing_rule_passes(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, self.evaluated())
        assert verdict.status is Status.PASS
        assert "200 pass" in verdict.evidence[0]

    def test_a_failing_openscap_rule_is_an_offender(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, self.evaluated(self.RULE))
        assert verdict.status is Status.FAIL
        assert verdict.offenders == (Offender("rule", "grub2_password", "high: Set a password"),)
        assert verdict.undecided is None

    def test_rules_that_openscap_could_not_evaluate_are_an_error(self, judge: Judge) -> None:
        counts = {"pass": 200, "fail": 1, "error": 2}
        with pytest.raises(FactUnavailable, match="could not decide 2 rules"):
            judge(self.SLUG, self.evaluated(counts=counts))
        verdict = judge(self.SLUG, self.evaluated(self.RULE, counts=counts))
        assert verdict.undecided is not None
        assert verdict.undecided.status is Status.ERROR

    def test_openscap_rules_without_an_automatic_check_are_manual(self, judge: Judge) -> None:
        counts = {"pass": 200, "notchecked": 1}
        verdict = judge(self.SLUG, self.evaluated(counts=counts))
        assert verdict.status is Status.MANUAL
        assert "1 rule of cis_level1_server that OpenSCAP has no check for" in verdict.actual
        verdict = judge(self.SLUG, self.evaluated(self.RULE, counts=counts))
        assert verdict.undecided is not None
        assert verdict.undecided.status is Status.MANUAL

    def test_a_failed_openscap_evaluation_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="oscap is not installed"):
            judge(self.SLUG, self.evaluated(error="oscap is not installed"))

    def test_an_openscap_evaluation_older_than_the_maximum_age_fails(self, judge: Judge) -> None:
        old = "2026-11-10T11:00:00Z"
        assert judge(self.SLUG, self.evaluated(evaluated_at=old)).status is Status.FAIL
        lenient = {"scan_max_age_days": 30}
        assert judge(self.SLUG, self.evaluated(evaluated_at=old, policy=lenient)).status is Status.PASS

    def test_a_scan_without_openscap_is_manual(self, judge: Judge) -> None:
        source = {"hardener.scan": {"record": scans.record(), "packages_changed": False}}
        snapshot = Snapshot({**make(**source).raw, "collected_at": scans.NOW})
        assert judge(self.SLUG, snapshot).status is Status.MANUAL
