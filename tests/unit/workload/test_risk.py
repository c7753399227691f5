"""Points: what each privilege counts, and in which order it is to be taken away."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib import capability_sets
from hardener.model import Severity
from hardener.workload.risk import _DEFAULT_POINTS, _POINTS, excesses
from tests.unit.workload.containers import (
    ALL,
    DEFAULT,
    EVERYTHING,
    FLAT,
    NARROW,
    NO_CAPABILITY,
    judged,
    keys,
    least,
    running,
)

OWN = {"SecurityOpt": ["seccomp={}"]}
REMAPPED = {
    "uid": 100000,
    "uid_map": [[0, 100000, 65536]],
    "host_namespaces": [],
    "processes": [{"pid": 1, "comm": "sh", "exe": "/sh", "uid": 100000}],
}
SOCKET = {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s", "RW": True}


def with_caps(mask: int) -> dict[str, Any]:
    text = f"{mask:016x}"
    return {"cap_eff": text, "cap_prm": text, "cap_bnd": text}


def test_a_container_with_default_settings_has_known_points() -> None:
    assert keys(judged(running())["web"]) == {
        "default-capabilities": 21,
        "root": 12,
        "seccomp": 8,
        "no-new-privileges": 6,
        "rootfs-writable": 4,
        "lsm": 3,
        "no-pids-limit": 3,
        "no-memory-limit": 3,
        "no-cpu-limit": 1,
    }
    found = judged(running())["web"]
    assert (found.level, found.points) == (Severity.MEDIUM, 61)
    assert found.first == (
        "Use --cap-drop ALL, and --cap-add what `hardener workload record` shows.",
        "Run it as a user (--user), or remap users in the engine (userns-remap).",
        "Give it a seccomp profile of its own, with the calls that it makes.",
    )


@pytest.mark.parametrize(("calls", "points"), [(40, 0), (180, 0), (204, 1), (300, 5), (361, 8)])
def test_a_container_with_least_privilege_has_no_risk_points(calls: int, points: int) -> None:
    """Its seccomp profile counts only if it permits more than half of the default's 361 calls."""
    found = judged(least(profile={**NARROW, "calls": calls}), running("other"))["least"]
    assert keys(found) == ({"seccomp": points} if points else {})
    assert (found.level, found.points) == (Severity.LOW, points)
    assert bool(found.first) is bool(points)


@pytest.mark.parametrize(
    ("key", "points", "level", "changes"),
    [
        (
            "seccomp",
            30,
            "high",
            {"proc": {"seccomp": 0}, "HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}},
        ),
        ("seccomp", 30, "high", {"profile": EVERYTHING, "HostConfig": OWN}),
        ("seccomp", 18, "medium", {"profile": FLAT, "HostConfig": OWN}),
        ("seccomp", 24, "medium", {"profile": {**NARROW, "open": [*"abcdefghijkl"]}, "HostConfig": OWN}),
        ("seccomp", 10, "medium", {"profile": {**NARROW, "open": ["keyctl"]}, "HostConfig": OWN}),
        ("seccomp", 8, "low", {"profile": None}),
        ("lsm", 12, "medium", {"proc": {"label": "unconfined"}}),
        ("lsm", 12, "medium", {"proc": {"label": "docker-default (complain)"}}),
        ("host-pid", 30, "high", {"proc": {"host_namespaces": ["pid", "user"]}}),
        ("host-net", 25, "high", {"proc": {"host_namespaces": ["net", "user"]}}),
        ("host-ipc", 10, "medium", {"proc": {"host_namespaces": ["ipc", "user"]}}),
        ("host-uts", 5, "low", {"proc": {"host_namespaces": ["uts", "user"]}}),
        ("host-cgroup", 3, "low", {"proc": {"host_namespaces": ["cgroup", "user"]}}),
        ("host-mnt", 100, "critical", {"proc": {"host_namespaces": ["mnt", "user"]}}),
        ("runtime-socket", 100, "critical", {"proc": {"mounts": None}, "Mounts": [SOCKET]}),
        ("unmasked", 15, "medium", {"HostConfig": {"MaskedPaths": []}}),
        ("devices", 10, "medium", {"HostConfig": {"Devices": [{"PathOnHost": "/dev/fuse"}]}}),
        ("devices", 24, "medium", {"HostConfig": {"DeviceCgroupRules": ["c 1:1 r", "c 1:2 r", "c 1:3 r"]}}),
        (
            "shared-mounts",
            15,
            "medium",
            {"Mounts": [{"Type": "bind", "Source": "/s", "Propagation": "rshared"}]},
        ),
        ("root", 3, "low", {"proc": REMAPPED}),
    ],
)
def test_each_privilege_has_its_points(key: str, points: int, level: str, changes: dict[str, Any]) -> None:
    found = judged(running(**changes), running("other"))["web"]
    excess = next(each for each in found.excess if each.key == key)
    assert (excess.points, excess.level.value) == (points, level)
    assert excess.do.endswith(".")


class TestHostPaths:
    @pytest.mark.parametrize(
        ("source", "writable", "record", "key", "points"),
        [
            ("/etc", True, {"type": "dir"}, "host-path-writable", 100),
            ("/etc", False, {"type": "dir"}, "host-path-readable", 25),
            ("/etc/localtime", False, {"type": "file"}, "host-path-readable", 5),
            ("/", True, {"type": "dir"}, "host-path-writable", 100),
        ],
    )
    def test_writable_system_directories_have_points(
        self, source: str, writable: bool, record: dict[str, Any], key: str, points: int
    ) -> None:
        row = {"Type": "bind", "Source": source, "Destination": "/host", "RW": writable}
        subject = running(proc={"mounts": None}, Mounts=[row])
        assert keys(judged(subject, files={source: record})["web"])[key] == points

    def test_writable_paths_of_a_remapped_root_have_fewer_points(self) -> None:
        row = {"Type": "bind", "Source": "/etc", "Destination": "/host", "RW": True}
        subject = running(proc={**REMAPPED, "mounts": None}, Mounts=[row])
        assert keys(judged(subject)["web"])["host-path-writable"] == 30

    def test_writable_folders_of_the_workload_have_few_points(self) -> None:
        rows = [
            {"Type": "bind", "Source": f"/srv/{name}", "Destination": f"/{name}", "RW": True}
            for name in "abcde"
        ]
        found = keys(judged(running(proc={"mounts": None}, Mounts=rows[:2]))["web"])
        assert found["binds-writable"] == 4
        assert keys(judged(running(proc={"mounts": None}, Mounts=rows))["web"])["binds-writable"] == 7


class TestCapabilities:
    def test_the_most_severe_capability_has_all_its_points_and_each_other_one_point(self) -> None:
        found = keys(judged(running(proc=with_caps(int(DEFAULT, 16) | 1 << 21 | 1 << 12)))["web"])
        assert found["capabilities"] == 101  # SYS_ADMIN and NET_ADMIN
        assert found["default-capabilities"] == 21

    @pytest.mark.parametrize(
        ("held", "advice"),
        [(DEFAULT, "Use --cap-drop ALL"), ("2400", "Drop those that its work does not need")],
    )
    def test_the_advice_depends_on_which_capabilities_are_dropped_already(
        self, held: str, advice: str
    ) -> None:
        rated = judged(running(proc=with_caps(int(held, 16))))["web"]
        assert advice in next(each.do for each in rated.excess if each.key == "default-capabilities")

    def test_a_capability_in_a_user_namespace_of_its_own_has_a_fifth_of_its_points(self) -> None:
        found = keys(judged(running(proc={**REMAPPED, **with_caps(1 << 21 | 1 << 13)}))["web"])
        assert found == {**found, "capabilities": 20, "default-capabilities": 2}

    def test_a_capability_obtainable_only_by_an_execution_has_half_of_its_points(self) -> None:
        user = {"cap_eff": NO_CAPABILITY, "cap_prm": NO_CAPABILITY, "cap_bnd": f"{1 << 21 | 1 << 13:016x}"}
        found = judged(running(proc=user))["web"]
        assert keys(found) == {**keys(found), "capabilities": 50, "default-capabilities": 4}
        assert "by executing a set-user-ID program" in found.gravest
        assert "capabilities" not in keys(judged(running(proc={**user, "no_new_privs": 1}))["web"])

    @pytest.mark.parametrize(
        ("number", "namespace", "points"),
        [(19, "pid", 100), (19, "net", 30), (12, "net", 40), (12, "pid", 25)],
    )
    def test_a_capability_has_more_points_in_the_namespace_of_the_host_that_it_governs(
        self, number: int, namespace: str, points: int
    ) -> None:
        proc = {**with_caps(1 << number), "host_namespaces": [namespace, "user"]}
        assert keys(judged(running(proc=proc))["web"])["capabilities"] == points

    def test_an_unknown_capability_has_points(self) -> None:
        found = judged(running(proc=with_caps(1 << 60)))["web"]
        assert keys(found)["capabilities"] == 5
        assert "60" in next(each.has for each in found.excess if each.key == "capabilities")

    def test_every_capability_of_the_table_exists(self) -> None:
        assert set(_POINTS) <= set(capability_sets.CAPABILITIES) - capability_sets.DEFAULT
        assert set(_DEFAULT_POINTS) <= capability_sets.DEFAULT


FULL = {"cap_eff": ALL, "cap_prm": ALL, "cap_bnd": ALL, "label": "unconfined"}


class TestPrivileged:
    def test_a_privileged_container_of_an_old_engine_has_no_filter(self) -> None:
        """Until 26.1 also where a profile was asked for."""
        for options in (None, ["seccomp={}"]):
            found = judged(
                running(
                    profile=None,
                    proc={**FULL, "seccomp": 0},
                    HostConfig={"Privileged": True, "SecurityOpt": options, "MaskedPaths": None},
                )
            )["web"]
            assert found.level is Severity.CRITICAL
            assert keys(found) == {
                **keys(found),
                "privileged": 100,
                "capabilities": 126,
                "seccomp": 30,
                "lsm": 12,
                "unmasked": 15,
            }

    def test_the_custom_profile_of_a_privileged_container_applies_from_engine_27_0_on(self) -> None:
        """From 27.0 on."""
        found = judged(
            running(
                profile={**NARROW, "unlimited": ["personality"]},
                proc=FULL,
                HostConfig={"Privileged": True, **OWN},
            ),
            running("other"),
        )["web"]
        assert (found.has.seccomp.kind.value, keys(found)["seccomp"]) == ("wider", 13)

    def test_privileges_implied_by_another_one_get_no_recommendation_of_their_own(self) -> None:
        proc = {**FULL, "seccomp": 0, "host_namespaces": ["pid", "user"]}
        found = judged(running(profile=None, proc=proc, HostConfig={"Privileged": True}))["web"]
        assert found.first == (
            "Remove --privileged; add single capabilities and devices instead.",
            "Take --pid host away.",
            "Run it as a user (--user), or remap users in the engine (userns-remap).",
        )
        assert found.gravest.startswith("is privileged")
        brought = {each.key for each in found.excess if each.follows == "privileged"}
        assert brought == {"capabilities", "default-capabilities", "seccomp", "lsm"}


def test_equal_facts_give_equal_points_in_equal_order() -> None:
    has = judged(running(proc={"host_namespaces": ["net", "pid", "ipc", "user"]}))["web"].has
    assert excesses(has) == excesses(has)
    assert [each.points for each in excesses(has)] == sorted(
        (each.points for each in excesses(has)), reverse=True
    )


def test_missing_limits_have_points() -> None:
    none = {"memory_max": None, "pids_max": None, "cpu_max": None}
    found = keys(judged(least(proc={"cgroup": none}))["least"])
    assert found == {**found, "no-pids-limit": 3, "no-memory-limit": 3, "no-cpu-limit": 1}
