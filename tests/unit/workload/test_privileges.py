"""What a running container has."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.labels import Confinement
from hardener.checks.lib.writable import WritablePath
from hardener.workload.privileges import Limits, User
from tests.unit.snapshots import GONE, merge
from tests.unit.workload.containers import ALL, DEFAULT, NO_CAPABILITY, ROOT, judged, least, running

SHELL = {"pid": 99, "comm": "sh", "exe": "/bin/sh", "uid": 0}


def mount(point: str, **changes: Any) -> dict[str, Any]:
    return {**ROOT, "id": 7, "parent": 1, "mount_point": point, **changes}


class TestCapabilities:
    def test_capabilities_of_the_first_process_are_read(self) -> None:
        found = judged(running(proc={"cap_amb": "0000000000000400"}))["web"].has.capabilities
        assert found.effective == found.held == found.bounding
        assert len(found.effective) == 14
        assert found.ambient == {"NET_BIND_SERVICE"}
        assert not found.obtainable

    def test_a_user_can_obtain_capabilities_of_the_bounding_set(self) -> None:
        user = {"cap_eff": NO_CAPABILITY, "cap_prm": NO_CAPABILITY, "cap_bnd": DEFAULT}
        found = judged(running(proc=user))["web"].has.capabilities
        assert (len(found.held), len(found.obtainable)) == (0, 14)

    def test_no_new_privileges_makes_capabilities_unobtainable(self) -> None:
        user = {"cap_eff": NO_CAPABILITY, "cap_prm": NO_CAPABILITY, "cap_bnd": DEFAULT, "no_new_privs": 1}
        found = judged(running(proc=user))["web"].has.capabilities
        assert (len(found.bounding), len(found.held), len(found.obtainable)) == (14, 0, 0)

    def test_capabilities_of_all_processes_are_joined(self) -> None:
        entered = {**SHELL, "cap_eff": ALL, "cap_prm": ALL, "cap_bnd": ALL}
        found = judged(running(proc={"processes": [entered]}))["web"].has.capabilities
        assert "SYS_ADMIN" in found.effective

    def test_permitted_capabilities_are_included_in_the_held_ones(self) -> None:
        """A process makes it effective by itself (capset)."""
        found = judged(running(proc={"cap_eff": NO_CAPABILITY, "cap_prm": DEFAULT}))["web"].has.capabilities
        assert (len(found.effective), len(found.held)) == (0, 14)

    def test_missing_ambient_sets_are_accepted(self) -> None:
        found = judged(running(proc={"cap_amb": GONE}))["web"]
        assert (found.has.capabilities.ambient, found.has.unknown) == (frozenset(), ())


class TestUser:
    @pytest.mark.parametrize(
        ("proc", "expected"),
        [
            ({}, User(ids=(0, 33), root=True, host_root=True)),
            (
                {"uid": 1000, "processes": [{**SHELL, "uid": 1000}]},
                User(ids=(1000,)),
            ),
            # the engine remaps: root in it, nobody of importance on the host
            (
                {
                    "uid": 100000,
                    "uid_map": [[0, 100000, 65536]],
                    "host_namespaces": [],
                    "processes": [{**SHELL, "uid": 100033}],
                },
                User(ids=(0, 33), root=True, remapped=True),
            ),
            # a process that entered as the host's root
            (
                {"uid": 1000, "processes": [{**SHELL, "uid": 0}]},
                User(ids=(0, 1000), root=True, host_root=True),
            ),
            # a namespace of its own that maps root to root
            (
                {"uid": 0, "uid_map": [[0, 0, 1]], "host_namespaces": [], "processes": [SHELL]},
                User(ids=(0,), root=True, host_root=True),
            ),
            # a uid that the container's namespace has no name for
            (
                {"uid": 7, "uid_map": [[0, 100000, 10]], "host_namespaces": [], "processes": []},
                User(remapped=True),
            ),
        ],
    )
    def test_the_user_of_a_container_is_read(self, proc: dict[str, Any], expected: User) -> None:
        assert judged(running(proc=proc))["web"].has.user == expected


class TestConfinement:
    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("docker-default (enforce)", Confinement.DEFAULT),
            ("nginx-own (enforce)", Confinement.OWN),
            ("nginx-own (kill)", Confinement.OWN),
            ("docker-default (complain)", Confinement.COMPLAINING),
            ("unconfined", Confinement.UNCONFINED),
        ],
    )
    def test_apparmor_confinement_is_read(self, label: str, expected: Confinement) -> None:
        found = judged(running(proc={"label": label}))["web"].has.lsm
        assert (found.confinement, found.module, found.label) == (expected, "apparmor", label)

    @pytest.mark.parametrize(
        ("label", "mode", "expected"),
        [
            ("system_u:system_r:container_t:s0:c1,c2", "enforcing", Confinement.DEFAULT),
            ("system_u:system_r:nginx_own.process:s0", "enforcing", Confinement.OWN),
            ("system_u:system_r:spc_t:s0", "enforcing", Confinement.UNCONFINED),
            ("system_u:system_r:container_t:s0", "permissive", Confinement.COMPLAINING),
            ("garbage", "enforcing", Confinement.UNCONFINED),
        ],
    )
    def test_selinux_confinement_is_read(self, label: str, mode: str, expected: Confinement) -> None:
        sources = {
            "info": {"SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux"]},
            "lsm": {"selinux": {"enabled": True, "mode": mode}},
        }
        found = judged(running(proc={"label": label}), **sources)["web"].has.lsm
        assert (found.confinement, found.module) == (expected, "selinux")

    def test_a_host_without_a_security_module_has_no_confinement(self) -> None:
        found = judged(running(), info={"SecurityOptions": ["name=seccomp,profile=builtin"]})["web"].has.lsm
        assert found.confinement is Confinement.ABSENT

    def test_a_label_that_could_not_be_read_is_unknown(self) -> None:
        found = judged(running(proc={"label": None}))["web"].has
        assert found.lsm.confinement is Confinement.UNKNOWN
        assert found.unknown == ("security module: label of the processes of web could not be read",)


class TestNamespaces:
    def test_namespaces_of_the_host_are_found(self) -> None:
        found = judged(running(proc={"host_namespaces": ["net", "pid", "user"]}))["web"].has
        assert found.host_namespaces == ("net", "pid", "user")

    def test_namespaces_of_other_containers_are_found(self) -> None:
        ids = {"net": "7", "pid": "8", "ipc": "9", "uts": "10", "mnt": "11"}
        names = ("web", "sidecar", "debug")
        everyone = [running(name, proc={"namespaces": {**ids, "pid": name}}) for name in names]
        found = judged(*everyone, running("alone", proc={"namespaces": dict.fromkeys(ids, "1")}))
        assert found["web"].has.joined_namespaces["net"] == ("debug", "sidecar")
        assert "pid" not in found["web"].has.joined_namespaces
        assert found["alone"].has.joined_namespaces == {}

    def test_containers_in_a_host_namespace_do_not_count_as_sharing_one(self) -> None:
        shared = {"namespaces": {"net": "7"}, "host_namespaces": ["net", "user"]}
        found = judged(running("one", proc=shared), running("two", proc=shared))
        assert "net" not in found["one"].has.joined_namespaces


class TestWritable:
    def test_writable_mounts_of_each_kind_are_found(self) -> None:
        mounts = [
            ROOT,
            mount("/run", fstype="tmpfs"),
            mount("/etc/app", fstype="tmpfs", options="ro,nosuid"),
            mount("/data", root="/var/lib/docker/volumes/data/_data", device="8:1", fstype="ext4"),
        ]
        rows = [
            {"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": True},
            {"Type": "volume", "Name": "read", "Source": "/x", "Destination": "/read", "RW": False},
            {"Type": "bind", "Source": "/srv/site", "Destination": "/site", "RW": True},
        ]
        found = judged(running(proc={"mounts": mounts}, Mounts=rows))["web"].has
        assert [(each.path, each.kind) for each in found.writable] == [
            ("/", "root"),
            ("/data", "volume"),
            ("/run", "tmpfs"),
            ("/site", "bind"),
        ]
        # without the container's mounts the engine's word counts
        found = judged(running(proc={"mounts": GONE}, Mounts=rows))["web"].has
        assert WritablePath(path="/site", kind="bind", source="/srv/site") in found.writable
        assert WritablePath(path="/", kind="root") in found.writable

    def test_a_path_that_a_later_mount_hides_is_not_writable(self) -> None:
        mounts = [ROOT, mount("/run", fstype="tmpfs"), mount("/run", id=8, fstype="tmpfs", options="ro")]
        found = judged(running(proc={"mounts": mounts}))["web"].has
        assert [each.path for each in found.writable] == ["/"]

    def test_a_read_only_root_is_read_from_the_kernel(self) -> None:
        declared = running(proc={"mounts": [ROOT]}, HostConfig={"ReadonlyRootfs": True})
        assert [each.path for each in judged(declared)["web"].has.writable] == ["/"]
        assert judged(least())["least"].has.writable == ()


class TestLimits:
    @pytest.mark.parametrize(
        ("cgroup", "expected"),
        [
            ({"memory_max": None, "pids_max": None, "cpu_max": None}, Limits()),
            ({"memory_max": GONE, "pids_max": GONE, "cpu_max": GONE, "cpu_weight": GONE}, Limits()),
            (
                {"memory_max": 1 << 20, "pids_max": 9, "cpu_max": "50000 100000"},
                Limits(memory=1 << 20, pids=9, cpu="50000 100000"),
            ),
            ({"memory_max": 1 << 60, "cpu_weight": 50}, Limits(cpu="weight 50")),  # more than there is
        ],
    )
    def test_limits_are_read(self, cgroup: dict[str, Any], expected: Limits) -> None:
        found = judged(running(proc={"cgroup": cgroup}), info={"MemTotal": 8 << 30})["web"].has
        assert found.limits == expected


def test_masked_paths_are_read() -> None:
    assert not judged(running())["web"].has.unmasked
    assert judged(running(HostConfig={"MaskedPaths": []}))["web"].has.unmasked
    assert judged(running(HostConfig={"MaskedPaths": None}))["web"].has.unmasked
    assert not judged(running(HostConfig={"MaskedPaths": GONE}))["web"].has.unmasked  # an old engine


def test_malformed_facts_of_a_container_are_unknown_and_others_are_read() -> None:
    broken = {"uid_map": [[0, 0]], "cgroup": {"memory_max": "lots"}, "cap_eff": "zz"}
    found = judged(running(proc=broken, HostConfig={"Devices": "none"}))["web"].has
    assert {text.partition(":")[0] for text in found.unknown} >= {"user", "limits", "capabilities", "devices"}
    assert found.seccomp.kind == "default"
    assert found.lsm.confinement is Confinement.DEFAULT


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [7], {"x": 7}])
def test_a_malformed_container_causes_no_exception(value: Any) -> None:
    subject = running()
    for key in subject["proc"]:
        found = judged(merge(subject, {"proc": {key: value}}))["web"]
        assert found.points >= 0, key
    for key in subject["inspect"]["HostConfig"]:
        judged(merge(subject, {"inspect": {"HostConfig": {key: value}}}))
