from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import make, merge, only

SLUG = "host-carries-docker"
ROOTLESS: dict[str, Any] = {"engine": {"rootless": True, "euid": 1000}}
REMAPPED: dict[str, Any] = {"docker.info": {"SecurityOptions": ["name=userns"]}}
FILTERED: dict[str, Any] = {"daemon.config": {"exists": True, "parsed": {"icc": False}}}
KEPT = {"by": "install", "file": "/etc/modprobe.d/cis.conf"}
LISTED = {"by": "blacklist", "file": "/etc/modprobe.d/cis.conf"}


def later(key: str, value: str) -> dict[str, Any]:
    return {"next_boot": {"sysctl": {key: {"value": value, "file": "/etc/sysctl.d/99-cis.conf"}}}}


def module(name: str, **facts: Any) -> dict[str, Any]:
    return {"next_boot": {"modules": {name: facts}}}


def mounted(point: str, fstype: str, options: str, **more: Any) -> dict[str, Any]:
    root = {"mount_point": "/", "root": "/", "device": "254:1", "fstype": "ext4", "source": "/dev/vda1"}
    root |= {"options": "rw", "propagation": "shared"}
    return {"mounts": [root, {**root, "mount_point": point, "fstype": fstype, "options": options, **more}]}


def in_fstab(point: str, *options: str) -> dict[str, Any]:
    return {"next_boot": {"mounts": [{"mount_point": point, "fstype": "ext4", "options": list(options)}]}}


def together(*changes: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for change in changes:
        found = merge(found, change)
    return found


# What a hardening role does to a host, and the name of what is then said to be missing.
DAMAGE = [
    ({"sysctl": {"net.ipv4.ip_forward": "0"}}, "net.ipv4.ip_forward"),
    (later("net.ipv4.ip_forward", "0"), "net.ipv4.ip_forward"),
    (later("net.ipv4.conf.all.forwarding", "0"), "net.ipv4.conf.all.forwarding"),
    (later("kernel.modules_disabled", "1"), "kernel.modules_disabled"),
    (
        together({"sysctl": {"kernel.modules_disabled": "1"}}, module("veth", loaded=False)),
        "kernel.modules_disabled",
    ),
    (
        together(FILTERED, {"sysctl": {"net.bridge.bridge-nf-call-iptables": "0"}}),
        "net.bridge.bridge-nf-call-iptables",
    ),
    (
        together(FILTERED, later("net.bridge.bridge-nf-call-iptables", "0")),
        "net.bridge.bridge-nf-call-iptables",
    ),
    (together(REMAPPED, {"sysctl": {"user.max_user_namespaces": "0"}}), "user.max_user_namespaces"),
    (together(REMAPPED, later("user.max_user_namespaces", "0")), "user.max_user_namespaces"),
    (together(ROOTLESS, later("user.max_user_namespaces", "0")), "user.max_user_namespaces"),
    (
        together(ROOTLESS, {"sysctl": {"kernel.unprivileged_userns_clone": "0"}}),
        "kernel.unprivileged_userns_clone",
    ),
    (module("overlay", kind="missing", loaded=False), "overlay"),
    (module("overlay", kept_out=KEPT), "overlay"),
    (module("br_netfilter", kept_out=KEPT, loaded=False), "br_netfilter"),
    (module("veth", kept_out=LISTED), "veth"),
    (module("xt_MASQUERADE", kept_out=LISTED), "xt_MASQUERADE"),
    (mounted("/var", "ext4", "rw,noexec,nosuid"), "/var/lib/docker"),
    (mounted("/var/lib/docker", "xfs", "rw,noexec"), "/var/lib/docker"),
    (in_fstab("/var", "rw", "noexec"), "/var/lib/docker"),
    (in_fstab("/var/lib/docker", "exec", "noexec"), "/var/lib/docker"),
    (together(ROOTLESS, mounted("/proc", "proc", "rw", hides=["hidepid=invisible"])), "/proc"),
    (together(ROOTLESS, in_fstab("/proc", "hidepid=2")), "/proc"),
]


@pytest.mark.parametrize(("change", "name"), DAMAGE)
def test_host_settings_that_break_the_engine_now_or_at_the_next_boot_fail(
    judge: Judge, change: dict[str, Any], name: str
) -> None:
    verdict = judge(SLUG, make(**change))
    assert verdict.status is Status.FAIL
    assert [offender.name for offender in verdict.offenders] == [name]


# What looks alike and takes nothing away from this engine.
HARMLESS: list[dict[str, Any]] = [
    {},
    later("net.ipv4.ip_forward", "1"),
    later("kernel.modules_disabled", "0"),
    {"sysctl": {"kernel.modules_disabled": "1"}},
    {"sysctl": {"user.max_user_namespaces": "0"}},
    later("user.max_user_namespaces", "0"),
    {"sysctl": {"net.bridge.bridge-nf-call-iptables": "0"}},
    together(ROOTLESS, {"sysctl": {"net.ipv4.ip_forward": "0"}}),
    module("overlay", kept_out=LISTED),
    module("overlay", kind="built-in", kept_out=KEPT),
    module("veth", kind=None, loaded=False, kept_out=KEPT),
    mounted("/tmp", "tmpfs", "rw,noexec"),
    mounted("/var/lib/dockerx", "ext4", "rw,noexec"),
    in_fstab("/var", "noexec", "exec"),
    in_fstab("/home", "noexec"),
    mounted("/proc", "proc", "rw", hides=["hidepid=invisible"]),
    together(ROOTLESS, mounted("/proc", "proc", "rw", hides=["hidepid=off"])),
]


@pytest.mark.parametrize("change", HARMLESS)
def test_settings_that_this_engine_does_not_need_pass(judge: Judge, change: dict[str, Any]) -> None:
    verdict = judge(SLUG, make(**change))
    assert verdict.status is Status.PASS, verdict


def test_a_noexec_folder_of_containerd_fails_only_if_it_stores_the_images(judge: Judge) -> None:
    store = {"docker.info": {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}}
    change = mounted("/var/lib/containerd", "ext4", "rw,noexec")
    assert judge(SLUG, make(**change)).status is Status.PASS
    verdict = judge(SLUG, make(**together(change, store)))
    assert [offender.name for offender in verdict.offenders] == ["/var/lib/containerd"]


def test_a_setting_that_is_wrong_now_and_at_the_next_boot_is_one_offender(judge: Judge) -> None:
    change = together({"sysctl": {"net.ipv4.ip_forward": "0"}}, later("net.ipv4.ip_forward", "0"))
    verdict = judge(SLUG, make(**change))
    assert [offender.name for offender in verdict.offenders] == ["net.ipv4.ip_forward"]


def test_an_older_snapshot_without_boot_settings_never_passes(judge: Judge) -> None:
    bad = judge(SLUG, make(sysctl={"net.ipv4.ip_forward": "0"}, without=["next_boot"]))
    assert bad.status is Status.FAIL
    with pytest.raises(FactUnavailable, match="next_boot"):
        judge(SLUG, make(without=["next_boot"]))
    empty = make(next_boot=only({"sysctl": {}, "modules": {}, "mounts": []}))
    with pytest.raises(FactUnavailable, match="modules could not be read"):
        judge(SLUG, empty)


def test_modules_are_an_error_only_if_none_could_be_read(judge: Judge) -> None:
    names = list(make().fact("next_boot")["modules"])
    for number in range(len(names)):
        unknown = {name: {"kind": None, "loaded": False} for name in names[:number]}
        verdict = judge(SLUG, make(next_boot={"modules": unknown}))
        assert verdict.status is Status.PASS
        left = len(names) - number
        assert verdict.actual.startswith(f"{left} module{'' if left == 1 else 's'}, and ")
        assert ("could not be read" in verdict.actual) is bool(number)
        assert all(name in verdict.actual for name in unknown)
    unseen = {"next_boot": {"modules": {name: {"kind": None, "loaded": False} for name in names}}}
    with pytest.raises(FactUnavailable, match="modules could not be read"):
        judge(SLUG, make(**unseen))
    # What was seen to be wrong still fails.
    wrong = judge(SLUG, make(**together(unseen, {"sysctl": {"net.ipv4.ip_forward": "0"}})))
    assert wrong.status is Status.FAIL
