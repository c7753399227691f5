"""A recorded Debian 13 that runs SELinux, enforcing with labels for containers, and permissive without."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from hardener.model import Status
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import permissive, recorded

SCHEMA = Path(__file__).parents[3] / "hardener" / "snapshot.schema.json"
HOSTS = {"permissive": permissive(), "enforcing": recorded("debian-13-selinux-enforcing")}


@pytest.mark.parametrize("mode", HOSTS)
def test_the_snapshot_follows_the_schema(mode: str) -> None:
    jsonschema_rs.validate(json.loads(SCHEMA.read_bytes()), HOSTS[mode].raw)


@pytest.mark.parametrize(
    ("slug", "mode", "status", "said"),
    [
        ("host-lsm-enforcing", "permissive", Status.FAIL, "SELinux does not enforce"),
        ("host-lsm-enforcing", "enforcing", Status.PASS, "selinux enforces"),
        ("container-selinux", "permissive", Status.FAIL, "web is labelled spc_t, which is not confined"),
        ("container-selinux", "enforcing", Status.PASS, ""),
        ("container-apparmor", "permissive", Status.NOT_APPLICABLE, "does not use AppArmor"),
        ("container-apparmor", "enforcing", Status.NOT_APPLICABLE, "does not use AppArmor"),
    ],
)
def test_controls_of_selinux_pass_on_an_enforcing_host_and_fail_on_a_permissive_one(
    judge: Judge, slug: str, mode: str, status: Status, said: str
) -> None:
    verdict = judge(slug, HOSTS[mode])
    assert verdict.status is status
    assert said in verdict.actual
