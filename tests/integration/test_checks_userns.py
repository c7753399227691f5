"""Containers of a real engine that remaps users."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from hardener.workload.audit import audit
from hardener.workload.privileges import User
from tests.integration.collecting import collect, judge, named
from tests.integration.remapping import BASE, RemappingDockerd

pytestmark = pytest.mark.usefixtures("bound_accounts")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    for name in ("subuid", "subgid"):
        assert Path("/etc", name).exists(), f"/etc/{name} is missing: apt-get install passwd"
    subprocess.run(["unshare", "--mount", "true"], check=True)
    with RemappingDockerd() as engine:
        for name, config in (("remapped", {}), ("opted-out", {"UsernsMode": "host"})):
            identity = engine.run(name, host_config=config)
            pid = engine.api("GET", f"/containers/{identity}/json")["State"]["Pid"]
            assert (Path(f"/proc/{pid}").stat().st_uid == 0) == (name == "opted-out")
        engine.create("created")
        engine.create("created-opted-out", host_config={"UsernsMode": "host"})
        return collect(engine)


def test_a_container_that_opts_out_shares_the_hosts_user_namespace(snapshot: Snapshot) -> None:
    verdict = judge("container-no-host-userns", snapshot)
    assert verdict.status is Status.FAIL
    assert named(verdict) == {"opted-out", "created-opted-out"}
    assert judge("daemon-userns-remap", snapshot).status is Status.PASS


def test_a_remapped_root_is_not_root_on_the_host(snapshot: Snapshot) -> None:
    verdict = judge("image-non-root-user", snapshot)
    assert named(verdict) == {"opted-out", "created-opted-out"}
    assert f"container remapped: starts as root inside and runs as uid {BASE} of the host" in verdict.evidence


def test_a_container_with_a_remapped_root_has_fewer_risk_points(snapshot: Snapshot) -> None:
    opted_out, remapped = audit(snapshot).containers
    assert (opted_out.name, remapped.name) == ("opted-out", "remapped")
    assert remapped.has.user == User(ids=(0,), root=True, remapped=True)
    assert opted_out.has.user == User(ids=(0,), root=True, host_root=True)
    assert "user" not in remapped.has.host_namespaces
    assert remapped.has.seccomp.kind == opted_out.has.seccomp.kind == "default"
    assert remapped.points < opted_out.points
