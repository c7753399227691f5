from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import runtimes

from hardener.model import Status
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, held, snapshot_of
from tests.unit.snapshots import GONE, container, hardened

CGROUPS, PATHS = "container-cgroups-private", "container-kernel-paths-hidden"
WRITABLE: dict[str, Any] = {"HostConfig": {"SecurityOpt": ["writable-cgroups=true"]}}
UNCONFINED: dict[str, Any] = {"HostConfig": {"MaskedPaths": [], "ReadonlyPaths": []}}
LISTS = {"MaskedPaths": [*runtimes.HIDDEN], "ReadonlyPaths": [*runtimes.KEPT]}
HIDDEN: dict[str, Any] = {"HostConfig": LISTS}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (container("bad", proc={"cgroup_writable": True}), "can write to its cgroups"),
        (container("bad", proc={"cgroup_writable": True}, **WRITABLE), "writable-cgroups"),
        (
            container("bad", proc={"cgroup_writable": True}, HostConfig={"Privileged": True}),
            "it is privileged",
        ),
        (container("bad", proc={"host_namespaces": ["user", "cgroup"]}), "the host's cgroup namespace"),
        (container("bad", running=False, **WRITABLE), "is set to have writable cgroups"),
        (
            container("bad", running=False, HostConfig={"SecurityOpt": ["writable-cgroups"]}),
            "is set to have writable cgroups",
        ),
        (container("bad", running=False, HostConfig={"Privileged": True}), "it is privileged"),
        (container("bad", running=False, HostConfig={"CgroupnsMode": "host"}), "the host's cgroup namespace"),
        (container("bad", proc={"cgroup_writable": GONE}, **WRITABLE), "is set to have writable cgroups"),
    ],
)
def test_a_container_that_can_write_cgroups_of_others_fails(
    judge: Judge, bad: dict[str, Any], words: str
) -> None:
    assert words in broken(judge, CGROUPS, bad)


@pytest.mark.parametrize(
    "good",
    [
        container("good"),
        container("good", HostConfig={"SecurityOpt": ["writable-cgroups=false"]}),
        container("good", running=False, HostConfig={"SecurityOpt": ["writable-cgroups=false"]}),
        container("good", HostConfig={"CgroupnsMode": "private"}),
        container("good", proc={"cgroup_writable": GONE}),
    ],
)
def test_access_to_own_cgroups_passes(judge: Judge, good: dict[str, Any]) -> None:
    held(judge, CGROUPS, good)


def test_declared_access_to_cgroups_without_effect_passes_with_a_remark(judge: Judge) -> None:
    verdict = held(judge, CGROUPS, container("good", **WRITABLE))
    assert any("but they are read-only" in fact for fact in verdict.evidence)
    told = container("good", HostConfig={"CgroupnsMode": "host"})
    assert any("runs in another" in fact for fact in held(judge, CGROUPS, told).evidence)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            container("bad", proc={"open_paths": ["/proc/kcore", "/proc/sys"]}),
            "reaches /proc/kcore, /proc/sys",
        ),
        (container("bad", proc={"open_paths": ["/proc/kcore"]}, **UNCONFINED), "systempaths=unconfined"),
        (
            container("bad", proc={"open_paths": ["/proc/sys"]}, HostConfig={"Privileged": True}),
            "it is privileged",
        ),
        (container("bad", running=False, **UNCONFINED), "is set to run without masked paths"),
        (
            container("bad", running=False, HostConfig={"ReadonlyPaths": []}),
            "is set to run without masked paths",
        ),
        (
            container("bad", running=False, HostConfig={"ReadonlyPaths": [*runtimes.KEPT[1:]]}),
            "its own list of paths omits /proc/bus",
        ),
        (
            container("bad", running=False, HostConfig={"MaskedPaths": [*runtimes.HIDDEN[1:]]}),
            "its own list of paths omits /proc/acpi",
        ),
        (container("bad", proc={"open_paths": GONE}, **UNCONFINED), "is set to run without masked paths"),
    ],
)
def test_reachable_kernel_paths_fail(judge: Judge, bad: dict[str, Any], words: str) -> None:
    assert words in broken(judge, PATHS, bad)


@pytest.mark.parametrize(
    "good",
    [
        container("good", **HIDDEN),
        container("good", running=False, **HIDDEN),
        container("good", proc={"open_paths": GONE}, **HIDDEN),
        container("good", running=False, HostConfig={"MaskedPaths": GONE, "ReadonlyPaths": GONE}),
    ],
)
def test_hidden_kernel_paths_pass(judge: Judge, good: dict[str, Any]) -> None:
    held(judge, PATHS, good)


def test_requested_kernel_paths_that_stay_hidden_pass_with_a_remark(judge: Judge) -> None:
    verdict = judge(PATHS, snapshot_of(container("good", **UNCONFINED), hardened("twin")))
    assert verdict.status is Status.PASS
    assert any("but they are masked" in fact for fact in verdict.evidence)
