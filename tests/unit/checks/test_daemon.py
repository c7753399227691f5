from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import REPORTED

from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import container, failed, make, only

OLD = {"docker.version": {"Version": "20.10.24+dfsg1"}}
STALE = {"engine": {"started": 100}, "files": {"/etc/docker/daemon.json": {"mtime": 200}}}


def told(flags: Any = None, parsed: Any = None, **sources: Any) -> Snapshot:
    config = {"flags": only(flags or {}), "exists": parsed is not None, "parsed": parsed}
    return make(**{"daemon.config": config, **sources})


def bridge(icc: str | None) -> dict[str, Any]:
    options = {} if icc is None else {"com.docker.network.bridge.enable_icc": icc}
    return {"docker.networks": [{"Name": "bridge", "Driver": "bridge", "Options": options}]}


def options(*names: str) -> dict[str, Any]:
    return {"docker.info": {"SecurityOptions": [f"name={name}" for name in names]}}


def by_status(verdict: Verdict, status: Status, words: str = "") -> None:
    assert verdict.status is status, verdict
    assert words in verdict.actual, verdict
    assert status is Status.MANUAL or bool(verdict.offenders) is (status is Status.FAIL), verdict


def test_a_userland_proxy_that_is_declared_off_is_an_error_without_the_engines_state(judge: Judge) -> None:
    snapshot = told(
        parsed={"userland-proxy": False},
        **{
            name: failed("refused")
            for name in ("docker.info", "docker.version", "docker.networks", "docker.containers")
        },
        engine={"proxies": 0, "pid": None, "reachable": False},
    )
    with pytest.raises(FactUnavailable):
        judge("daemon-userland-proxy-disabled", snapshot)


@pytest.mark.parametrize(
    ("snapshot", "status"),
    [
        (make(), Status.MANUAL),
        (make(engine={"rootless": True, "euid": 1000}), Status.PASS),
        (make(engine={"euid": 1000}), Status.PASS),
        (make(engine={"euid": None}, **options("rootless", "cgroupns")), Status.PASS),
    ],
)
def test_a_daemon_of_another_user_than_root_passes_as_rootless(
    judge: Judge, snapshot: Snapshot, status: Status
) -> None:
    by_status(judge("daemon-rootless", snapshot), status)


def test_containers_that_prevent_a_rootless_daemon_are_evidence(judge: Judge) -> None:
    held = [
        container("vpn", HostConfig={"Privileged": True}),
        container("proxy", HostConfig={"NetworkMode": "host"}),
        container("web", NetworkSettings={"Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "80"}]}}),
    ]
    verdict = judge("daemon-rootless", make(**{"docker.containers": held}))
    assert "needs root: vpn is privileged" in verdict.evidence
    assert "needs root: proxy uses the host's network" in verdict.evidence
    assert any("[::]:80/tcp" in fact for fact in verdict.evidence)


@pytest.mark.parametrize(
    ("sources", "status", "words"),
    [
        (bridge("false"), Status.PASS, ""),
        (bridge("true"), Status.FAIL, "is true"),
        (bridge(None), Status.FAIL, "not set"),
        (bridge("no\x1b[0m"), Status.FAIL, ""),
        ({"docker.networks": [{"Name": "none", "Driver": "null"}]}, Status.NOT_APPLICABLE, "switched off"),
    ],
)
def test_icc_passes_only_if_the_default_bridge_disables_it(
    judge: Judge, sources: Any, status: Status, words: str
) -> None:
    by_status(judge("daemon-icc-disabled", make(**sources)), status, words)


def test_a_declared_setting_that_awaits_a_restart_does_not_change_the_verdict(judge: Judge) -> None:
    drift = told(parsed={"icc": False}, **bridge("true"))
    by_status(judge("daemon-icc-disabled", drift), Status.FAIL, "declared false")
    opened = told(parsed={"icc": True}, **bridge("false"))
    by_status(judge("daemon-icc-disabled", opened), Status.PASS, "declared true")
    proxies = told(parsed={"userland-proxy": False}, engine={"proxies": 2})
    by_status(judge("daemon-userland-proxy-disabled", proxies), Status.FAIL, "declared false")


def test_an_unreadable_file_of_a_running_daemon_is_reported(judge: Judge) -> None:
    broken = {"daemon.config": {"exists": True, "parsed": None, "error": "Expecting value"}}
    by_status(judge("daemon-icc-disabled", make(**broken, **bridge("false"))), Status.PASS, "cannot be read")
    with pytest.raises(FactUnavailable, match="Expecting value"):
        judge("daemon-default-ulimits", make(**broken))


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (told(), Status.PASS, "info (default)"),
        (told({"log-level": ["info"]}), Status.PASS, "--log-level"),
        (told(parsed={"log-level": "INFO"}), Status.PASS, ""),
        (told(parsed={"log-level": "warn"}), Status.FAIL, "warn"),
        (told(parsed={"debug": True}), Status.FAIL, "debug"),
        (told({"debug": ["true"]}), Status.FAIL, "debug"),
        (told(**{"docker.info": {"Debug": True}}), Status.FAIL, "debug mode"),
        (told(**STALE), Status.MANUAL, "restart"),
        (told({"log-level": ["info"]}, **STALE), Status.PASS, ""),
        (told(parsed={"log-level": "error"}, **STALE), Status.FAIL, "error"),
    ],
)
def test_only_log_level_info_without_debug_mode_passes(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-log-level-info", snapshot), status, words)


def test_flags_and_debug_mode_affect_the_log_level(judge: Judge) -> None:
    by_status(judge("daemon-log-level-info", told({"log-level": ["debug"]}, {})), Status.FAIL, "--log-level")
    by_status(judge("daemon-log-level-info", told({"debug": ["true"]}, {"log-level": "info"})), Status.FAIL)


@pytest.mark.parametrize(
    ("slug", "driver", "gone"),
    [
        ("daemon-storage-aufs-absent", "aufs", "24.0.5"),
        ("daemon-storage-devicemapper-absent", "devicemapper", "25.0.1"),
    ],
)
def test_unmaintained_storage_drivers_fail(judge: Judge, slug: str, driver: str, gone: str) -> None:
    by_status(judge(slug, make(**OLD)), Status.PASS, "overlay2")
    by_status(judge(slug, make(**OLD, **{"docker.info": {"Driver": driver}})), Status.FAIL, driver)
    by_status(judge(slug, make(**{"docker.version": {"Version": gone}})), Status.NOT_APPLICABLE, "no driver")


DEVICEMAPPER = {"docker.info": {"Driver": "devicemapper"}}


@pytest.mark.parametrize(
    ("snapshot", "status"),
    [
        (told({"storage-opt": ["dm.basesize=50G"]}), Status.NOT_APPLICABLE),
        (told({"storage-opt": ["dm.fs=xfs"]}, **DEVICEMAPPER), Status.PASS),
        (told(parsed={"storage-opts": ["dm.fs=xfs", "dm.basesize=50G"]}, **DEVICEMAPPER), Status.FAIL),
    ],
)
def test_a_base_device_size_fails_with_the_devicemapper_driver(
    judge: Judge, snapshot: Snapshot, status: Status
) -> None:
    by_status(judge("daemon-base-device-size", snapshot), status)


def test_a_base_device_size_in_a_flag_fails(judge: Judge) -> None:
    flagged = told({"storage-opt": ["dm.basesize=50G"]}, **DEVICEMAPPER)
    by_status(judge("daemon-base-device-size", flagged), Status.FAIL, "dm.basesize=50G (--storage-opt)")


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (told(), Status.FAIL, "no default"),
        (told(parsed={"default-ulimits": {}}), Status.FAIL, ""),
        (told({"default-ulimit": ["nofile=1024:2048"]}), Status.PASS, "nofile"),
        (
            told(parsed={"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}}),
            Status.PASS,
            "nofile",
        ),
        (told(parsed={"default-ulimits": {"nofile": {}}}, **STALE), Status.MANUAL, "restart"),
        (told({"default-ulimit": ["nofile=-1"]}), Status.FAIL, "nofile"),
        (told({"default-ulimit": ["nofile=1024:-1", "core=0"]}), Status.FAIL, "nofile"),
        (told({"default-ulimit": ["core=-1", "nofile=1024"]}), Status.PASS, "core"),
        (
            told(parsed={"default-ulimits": {"nproc": {"Name": "nproc", "Soft": -1, "Hard": -1}}}),
            Status.FAIL,
            "nproc",
        ),
    ],
)
def test_default_ulimits_pass_only_if_set_and_limited(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-default-ulimits", snapshot), status, words)


MAPPED = {"uid_map": [[0, 100000, 65536]]}


def remapped(uid: int = 100000, gid: int = 100000) -> dict[str, Any]:
    info = {"SecurityOptions": ["name=userns"], "DockerRootDir": f"/var/lib/docker/{uid}.{gid}"}
    return {"docker.info": info}


@pytest.mark.parametrize("first", [0, 1, 999, 1000, 60000, 65535, 65536, 100000, 500000])
@pytest.mark.parametrize("which", ["uid", "gid", "subuid", "subgid", "container"])
def test_ids_of_containers_that_may_be_of_accounts_fail(judge: Judge, which: str, first: int) -> None:
    in_use = remapped(**{which: first} if which in ("uid", "gid") else {})
    ranges = {"subuid": [[100000, 65536]], "subgid": [[100000, 65536]]}
    ranges |= {which: [[100000, 65536], [first, 65536]]} if which in ranges else {}
    proc = {"uid_map": [[0, first if which == "container" else 100000, 65536]]}
    users = {"remap": {"user": "dockremap", **ranges}, "high": {"uids": [565535, 900000], "gids": [65535]}}
    sources = {**in_use, "users": users, "docker.containers": [container(proc=proc)]}
    verdict = judge("daemon-userns-remap", make(**sources))
    of_an_account = first < 65536 or (which == "subuid" and first == 500000)
    by_status(verdict, Status.FAIL if of_an_account else Status.PASS)


def test_user_remapping_to_ids_that_are_not_known_is_manual(judge: Judge) -> None:
    by_status(
        judge("daemon-userns-remap", make(**options("userns"), **{"docker.containers": []})), Status.MANUAL
    )


@pytest.mark.parametrize(
    ("sources", "status", "words"),
    [
        ({}, Status.FAIL, "does not remap"),
        ({**remapped(), "docker.containers": []}, Status.PASS, ""),
        ({**remapped(), "docker.containers": [container(proc=MAPPED)]}, Status.PASS, ""),
        ({**remapped(), "docker.containers": [container(running=False)]}, Status.PASS, ""),
        (
            {**options("userns"), "docker.containers": [container(proc=MAPPED), container("x")]},
            Status.FAIL,
            "1 of 2",
        ),
        (
            {
                **remapped(),
                "docker.containers": [
                    container(proc=MAPPED),
                    container("x", HostConfig={"UsernsMode": "host"}),
                ],
            },
            Status.PASS,
            "",
        ),
        (
            {**options("rootless"), "docker.containers": [container(proc={"uid_map": [[0, 1000, 1]]})]},
            Status.PASS,
            "",
        ),
    ],
)
def test_user_remapping_passes_if_it_is_in_effect_or_the_engine_is_rootless(
    judge: Judge, sources: Any, status: Status, words: str
) -> None:
    by_status(judge("daemon-userns-remap", make(**sources)), status, words)


def test_user_remapping_that_is_only_declared_fails_and_a_rootless_engine_passes(judge: Judge) -> None:
    wished = told(parsed={"userns-remap": "default"})
    by_status(judge("daemon-userns-remap", wished), Status.FAIL, "declared default")
    rootless = make(engine={"euid": None}, **options("rootless"), **{"docker.containers": []})
    by_status(judge("daemon-userns-remap", rootless), Status.PASS)
    by_status(judge("daemon-rootless", rootless), Status.PASS)


def test_an_insecure_setting_in_the_file_of_a_rootless_daemon_fails(judge: Judge) -> None:
    path = "/home/ci/.config/docker/daemon.json"
    config = {"path": path, "exists": True, "parsed": {"log-level": "debug"}, "flags": only({})}
    verdict = judge("daemon-log-level-info", make(**{"daemon.config": config}, engine={"rootless": True}))
    by_status(verdict, Status.FAIL, path)


@pytest.mark.parametrize(
    ("flags", "policy", "status"),
    [
        ({}, {}, Status.PASS),
        ({"cgroup-parent": [""]}, {}, Status.PASS),
        ({"cgroup-parent": ["limits.slice"]}, {}, Status.FAIL),
        ({"cgroup-parent": ["limits.slice"]}, {"cgroup_parents": ["limits.slice"]}, Status.PASS),
        ({"cgroup-parent": ["limits.slice"]}, {"cgroup_parents": ["other.slice"]}, Status.FAIL),
    ],
)
def test_a_custom_cgroup_parent_passes_only_if_the_policy_approves_it(
    judge: Judge, flags: Any, policy: Any, status: Status
) -> None:
    by_status(judge("daemon-cgroup-parent-default", told(flags, policy=policy)), status)


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (make(), Status.FAIL, "off"),
        (make(**options("no-new-privileges")), Status.PASS, "on"),
        (told(parsed={"no-new-privileges": True}), Status.FAIL, "declared true"),
        (
            told({"no-new-privileges": ["false"]}, **options("no-new-privileges")),
            Status.PASS,
            "declared false",
        ),
        (told(**OLD), Status.FAIL, "false (default)"),
        (told(parsed={"no-new-privileges": True}, **OLD), Status.PASS, ""),
        (told(parsed={"no-new-privileges": True}, **OLD, **STALE), Status.MANUAL, "restart"),
    ],
)
def test_no_new_privileges_passes_only_if_it_is_in_effect(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-no-new-privileges", snapshot), status, words)


@pytest.mark.parametrize(
    ("info", "status"),
    [
        ({"LiveRestoreEnabled": True}, Status.PASS),
        ({"LiveRestoreEnabled": False}, Status.FAIL),
        ({"LiveRestoreEnabled": False, "Swarm": {"LocalNodeState": "active"}}, Status.NOT_APPLICABLE),
        ({"LiveRestoreEnabled": False, "Swarm": {"LocalNodeState": "locked"}}, Status.NOT_APPLICABLE),
    ],
)
def test_live_restore_passes_only_if_enabled_and_does_not_apply_in_a_swarm(
    judge: Judge, info: Any, status: Status
) -> None:
    by_status(judge("daemon-live-restore", make(**{"docker.info": info})), status)


def test_a_boolean_flag_set_to_false_fails(judge: Judge) -> None:
    off = told({"live-restore": ["false"], "no-new-privileges": ["false"]})
    by_status(judge("daemon-live-restore", off), Status.FAIL)
    by_status(judge("daemon-no-new-privileges", off), Status.FAIL)
    by_status(judge("daemon-no-new-privileges", told({"no-new-privileges": ["false"]}, **OLD)), Status.FAIL)


QUIET = {"engine": {"proxies": 0}}


@pytest.mark.parametrize(
    ("snapshot", "status", "words"),
    [
        (make(), Status.FAIL, "2 docker-proxies running"),
        (told(**QUIET), Status.FAIL, "true (default)"),
        (told(parsed={"userland-proxy": False}, **QUIET), Status.PASS, "2 ports published"),
        (told(parsed={"userland-proxy": False}, **QUIET, **{"docker.containers": []}), Status.PASS, ""),
        (
            told(
                parsed={"userland-proxy": False},
                engine={"proxies": 0, "started": 100},
                files=STALE["files"],
                **{"docker.containers": []},
            ),
            Status.MANUAL,
            "restart",
        ),
        (make(engine={"rootless": True}), Status.NOT_APPLICABLE, ""),
    ],
)
def test_the_userland_proxy_passes_only_if_it_is_off_in_the_running_engine(
    judge: Judge, snapshot: Snapshot, status: Status, words: str
) -> None:
    by_status(judge("daemon-userland-proxy-disabled", snapshot), status, words)


@pytest.mark.parametrize(
    ("names", "seccomp", "status", "words"),
    [
        (["seccomp,profile=builtin"], True, Status.PASS, "builtin"),
        (["seccomp,profile=default"], True, Status.PASS, "default"),
        (["seccomp,profile=unconfined"], True, Status.FAIL, "unconfined"),
        (["seccomp"], True, Status.FAIL, "no seccomp"),
        (["apparmor"], True, Status.FAIL, "no seccomp"),
        (["apparmor"], False, Status.NOT_APPLICABLE, "kernel"),
        (["seccomp,profile=/etc/docker/seccomp.json"], True, Status.MANUAL, "/etc/docker/seccomp.json"),
    ],
)
def test_a_daemon_without_a_seccomp_profile_fails_and_a_custom_one_is_manual(
    judge: Judge, names: list[str], seccomp: bool, status: Status, words: str
) -> None:
    snapshot = make(lsm={"seccomp": seccomp}, **options(*names))
    by_status(judge("daemon-seccomp-custom", snapshot), status, words)


@pytest.mark.parametrize(
    ("opened", "status", "words"),
    [
        (sorted(REPORTED), Status.FAIL, "filters nothing"),
        (["io_uring_setup"], Status.FAIL, "weaker than the default: the engine's default would refuse"),
        ([], Status.MANUAL, "/etc/docker/seccomp.json"),
    ],
)
def test_a_custom_seccomp_profile_fails_if_it_permits_a_call_that_the_default_refuses(
    judge: Judge, opened: list[str], status: Status, words: str
) -> None:
    config = {"daemon.config": {"seccomp": {"default": "SCMP_ACT_ALLOW", "open": opened}}}
    snapshot = make(**options("seccomp,profile=/etc/docker/seccomp.json"), **config)
    verdict = judge("daemon-seccomp-custom", snapshot)
    by_status(verdict, status, words)
    assert any("io_uring_setup" in fact for fact in verdict.evidence) or len(opened) != 1


def version(number: str, experimental: Any) -> dict[str, Any]:
    engine = {"Name": "Engine", "Version": number, "Details": {"Experimental": experimental}}
    return {"docker.version": {"Version": number, "Components": [engine]}}


def test_experimental_features_pass_only_if_the_engine_reports_them_as_off(judge: Judge) -> None:
    by_status(judge("daemon-experimental-off", make()), Status.PASS)
    by_status(
        judge("daemon-experimental-off", make(**{"docker.version": {"Experimental": True}})), Status.FAIL
    )


@pytest.mark.parametrize("number", ["19.03.15", "20.10.24", "26.1.5", "29.9.0"])
def test_enabled_experimental_features_fail_on_every_engine_version(judge: Judge, number: str) -> None:
    by_status(judge("daemon-experimental-off", make(**version(number, "true"))), Status.FAIL)
    by_status(judge("daemon-experimental-off", make(**version(number, "false"))), Status.PASS)
