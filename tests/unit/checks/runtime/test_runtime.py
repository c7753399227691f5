"""What holds for every control of section 5 alike."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.checks import all_checks
from hardener.checks.lib.containers import NO_CONTAINERS
from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import details
from tests.unit.snapshots import container, hardened, make, only, with_containers

CONTROLS = sorted(
    slug for slug in all_checks() if slug.startswith(("container-", "exec-")) or slug == "image-latest-pulled"
)
each_control = pytest.mark.parametrize("slug", CONTROLS)

# What the base container breaks, running or not.
BROKEN_BY_DEFAULT = {
    "container-bind-specific-interface",
    "container-capabilities",
    "container-cpu-limit",
    "container-memory-limit",
    "container-no-host-userns",
    "container-no-new-privileges",
    "container-not-default-bridge",
    "container-pids-limit",
    "container-readonly-rootfs",
}


def test_section_5_and_own_controls_of_containers_have_33_checks() -> None:
    assert len(CONTROLS) == 31 + 2  # and swarm-mode-off, which is about the engine; two are our own


@each_control
def test_controls_of_containers_do_not_apply_without_containers(judge: Judge, slug: str) -> None:
    verdict = judge(slug, make(**{"docker.containers": []}))
    reasons = {NO_CONTAINERS, "the engine does not use AppArmor", "SELinux is not enabled on this host"}
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.actual in reasons


@each_control
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("vanilla-web", {}),
        ("hardener", {}),
        ("docker-bench-security", {"docker.bench.security": ""}),
        ("web", {"docker.bench.security": "true", "hardener": "ignore", "org.hardener.exempt": "true"}),
    ],
)
def test_names_and_labels_of_a_container_do_not_exempt_it(
    judge: Judge, slug: str, name: str, labels: dict[str, str]
) -> None:
    here = container("plain")
    there = container(name, Config={"Labels": labels})
    verdict = judge(slug, make(**{"docker.containers": [here, there]}))
    told = details(verdict)
    assert (name in told) == ("plain" in told)
    if verdict.status is not Status.NOT_APPLICABLE:
        assert verdict.checked == 2


@pytest.mark.parametrize("slug", sorted(BROKEN_BY_DEFAULT))
def test_stopped_containers_fail_by_their_configuration(judge: Judge, slug: str) -> None:
    verdict = judge(slug, make(**{"docker.containers": [container("job", running=False)]}))
    assert verdict.status is Status.FAIL
    assert verdict.offenders[0].detail.endswith("(not running: judged by its configuration)")


@each_control
@pytest.mark.parametrize("running", [True, False])
def test_a_hardened_container_fails_no_control(judge: Judge, slug: str, running: bool) -> None:
    policy = {"published_ports": ["twin:8443/tcp"]}
    verdict = judge(slug, with_containers(hardened(running=running), policy=policy))
    assert verdict.status is not Status.FAIL, verdict
    asked = slug in {"image-latest-pulled", "exec-not-privileged", "exec-not-root-user"}
    assert (verdict.status is Status.MANUAL) == asked, verdict


HOSTILE = "\x1b]0;owned\x07\u202e<script>\x00" + "A" * 1_000_000


@each_control
def test_hostile_text_does_not_change_verdicts(judge: Judge, slug: str) -> None:
    plain = judge(slug, make(**{"docker.containers": [container()]}))
    nasty = container(
        HOSTILE,
        Config={"Labels": {HOSTILE: HOSTILE}, "Cmd": [HOSTILE], "Env": [HOSTILE]},
        Path=HOSTILE,
        Args=[HOSTILE],
        proc={"processes": [{"pid": 1, "comm": HOSTILE, "exe": HOSTILE, "uid": 0}], "processes_total": 1},
    )
    verdict = judge(slug, make(**{"docker.containers": [nasty]}))
    assert verdict.status is plain.status
    assert verdict.actual.isprintable()
    assert len(verdict.actual) < 2_000


NULLS: dict[str, Any] = {
    "HostConfig": dict.fromkeys(
        (
            "Binds",
            "CapAdd",
            "CapDrop",
            "CgroupParent",
            "CpuQuota",
            "CpuShares",
            "DeviceCgroupRules",
            "DeviceRequests",
            "Devices",
            "IpcMode",
            "Memory",
            "NanoCpus",
            "NetworkMode",
            "PidMode",
            "PidsLimit",
            "SecurityOpt",
            "UTSMode",
            "Ulimits",
            "UsernsMode",
        )
    ),
    "Mounts": None,
    "ExecIDs": None,
    "Args": None,
}


@each_control
@pytest.mark.parametrize("running", [True, False])
def test_every_control_accepts_null_for_unset_values(judge: Judge, slug: str, running: bool) -> None:
    """The Docker API says null where a list is empty and where a number or text is not set."""
    nothing = container(running=running, **NULLS)
    nothing["inspect"]["HostConfig"] |= {"PortBindings": None, "RestartPolicy": None}
    nothing["inspect"]["NetworkSettings"] |= {"Ports": None, "Networks": None}
    judge(slug, make(**{"docker.containers": [nothing]}))


@each_control
@pytest.mark.parametrize("inspect", [None, [], "x"])
def test_a_container_that_was_not_inspected_is_an_error(judge: Judge, slug: str, inspect: Any) -> None:
    snapshot = with_containers({"inspect": inspect, "proc": None})
    if slug == "container-selinux":
        snapshot = with_containers(
            {"inspect": inspect, "proc": None}, info={"SecurityOptions": ["name=selinux"]}
        )
    with pytest.raises(FactUnavailable, match="inspect"):
        judge(slug, snapshot)


@each_control
def test_a_container_without_its_configuration_passes_only_the_listed_controls(
    judge: Judge, slug: str
) -> None:
    """An empty answer is no answer: nothing may pass on what is not there."""
    hollow = {
        "inspect": {"Id": "0a", "Name": "/hollow", "State": {"Running": False}, "Mounts": []},
        "proc": None,
    }
    allowed = {"container-no-sensitive-mounts", "container-no-docker-sock", "container-no-sshd"}
    try:
        verdict = judge(slug, with_containers(hollow, info={"SecurityOptions": only(["name=selinux"])}))
    except FactUnavailable:
        return
    assert verdict.status is not Status.PASS or slug in allowed, verdict
