from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import GONE, absent, failed, make

GOOD = {
    "kernel.kptr_restrict": "2",
    "kernel.dmesg_restrict": "1",
    "kernel.randomize_va_space": "2",
    "kernel.unprivileged_bpf_disabled": "1",
    "net.core.bpf_jit_harden": "2",
    "kernel.perf_event_paranoid": "3",
    "kernel.yama.ptrace_scope": "1",
    "fs.protected_hardlinks": "1",
    "fs.protected_symlinks": "1",
    "fs.protected_fifos": "1",
    "fs.protected_regular": "2",
    "fs.suid_dumpable": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv6.conf.all.accept_redirects": "0",
    "net.ipv6.conf.default.accept_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.conf.default.accept_source_route": "0",
    "net.ipv6.conf.all.accept_source_route": "0",
    "net.ipv6.conf.default.accept_source_route": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv4.conf.all.rp_filter": "2",
    "net.ipv4.conf.default.rp_filter": "1",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1",
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
}
BAD = {
    **dict.fromkeys(GOOD, "0"),
    **{key: "1" for key in GOOD if key.rpartition(".")[2] in ("accept_redirects", "accept_source_route")},
    **{key: "1" for key in GOOD if key.endswith("send_redirects")},
    "kernel.perf_event_paranoid": "-1",
    "fs.suid_dumpable": "1",
}


def test_every_kernel_setting_of_the_baseline_has_a_test_value() -> None:
    assert GOOD.keys() == {setting.key for setting in sysctls.judged()}


@pytest.mark.parametrize("setting", list(sysctls.judged()), ids=lambda setting: setting.key)
@pytest.mark.parametrize("value", range(-2, 8))
def test_each_kernel_setting_passes_with_exactly_the_values_in_its_description(
    judge: Judge, setting: sysctls.Setting, value: int
) -> None:
    verdict = judge("host-kernel-settings", make(sysctl={**GOOD, setting.key: str(value)}))
    assert (verdict.status is Status.PASS) == setting.holds(value)
    told = {word for word in setting.words.split() if word.lstrip("-").isdecimal()}
    assert setting.holds(value) == (str(value) in told or ("more" in setting.words and value > int(*told)))


def test_the_baseline_of_kernel_settings_passes(judge: Judge) -> None:
    verdict = judge("host-kernel-settings", make(sysctl=GOOD))
    assert verdict.status is Status.PASS
    assert verdict.checked == len(GOOD)


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", ["bad", "", "1 2", "junk"])
def test_each_wrong_kernel_setting_alone_fails(judge: Judge, key: str, value: str) -> None:
    verdict = judge("host-kernel-settings", make(sysctl={**GOOD, key: BAD[key] if value == "bad" else value}))
    assert verdict.status is Status.FAIL
    assert [offender.name for offender in verdict.offenders] == [key]


def test_a_new_debian_installation_fails(judge: Judge) -> None:
    assert judge("host-kernel-settings", make()).status is Status.FAIL


def test_a_key_that_the_kernel_does_not_have_is_left_out(judge: Judge) -> None:
    sysctl = {**GOOD, "net.bridge.bridge-nf-call-iptables": None, "kernel.yama.ptrace_scope": None}
    assert judge("host-kernel-settings", make(sysctl=sysctl)).checked == len(GOOD) - 2


def test_a_key_that_was_not_collected_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="kptr"):
        judge("host-kernel-settings", make(sysctl={**GOOD, "kernel.kptr_restrict": GONE}))


def test_ip_forwarding_must_be_on_only_on_hosts_with_a_rootful_engine(judge: Judge) -> None:
    sysctl = {**GOOD, "net.ipv4.ip_forward": "0"}
    assert judge("host-kernel-settings", make(sysctl=sysctl)).status is Status.FAIL
    assert judge("host-kernel-settings", make(sysctl=sysctl, engine={"rootless": True})).status is Status.PASS
    bare = make(sysctl=sysctl, engine=absent("no engine"))
    assert judge("host-kernel-settings", bare).status is Status.PASS


APPARMOR: dict[str, Any] = {"apparmor": {"enabled": True, "profiles": {"docker-default": "enforce"}}}
SELINUX: dict[str, Any] = {
    "apparmor": {"enabled": False, "profiles": {}},
    "selinux": {"enabled": True, "mode": "enforcing", "policy": "targeted"},
}


@pytest.mark.parametrize(
    ("lsm", "options", "status", "words"),
    [
        (APPARMOR, ["name=apparmor"], Status.PASS, "apparmor enforces"),
        (APPARMOR, ["name=seccomp,profile=builtin"], Status.FAIL, "engine does not use it"),
        (
            {"apparmor": {"profiles": {"docker-default": "complain"}}},
            ["name=apparmor"],
            Status.FAIL,
            "complain",
        ),
        ({"apparmor": {"profiles": {"docker-default": GONE}}}, ["name=apparmor"], Status.FAIL, "not loaded"),
        ({"apparmor": {"enabled": False}}, [], Status.FAIL, "neither"),
        (SELINUX, ["name=selinux"], Status.PASS, "selinux enforces"),
        (SELINUX, [], Status.FAIL, "engine does not use it"),
        (
            {**SELINUX, "selinux": {"enabled": True, "mode": "permissive"}},
            ["name=selinux"],
            Status.FAIL,
            "SELinux",
        ),
    ],
)
def test_only_an_enforcing_security_module_that_the_engine_uses_passes(
    judge: Judge, lsm: Any, options: list[str], status: Status, words: str
) -> None:
    verdict = judge("host-lsm-enforcing", make(lsm=lsm, **{"docker.info": {"SecurityOptions": options}}))
    assert verdict.status is status
    assert words in verdict.actual


def test_a_kernel_without_a_security_module_fails_even_if_the_engine_is_stopped(judge: Judge) -> None:
    stopped = {"docker.info": failed("connection refused")}
    assert (
        judge("host-lsm-enforcing", make(lsm={"apparmor": {"enabled": False}}, **stopped)).status
        is Status.FAIL
    )
    with pytest.raises(FactUnavailable):
        judge("host-lsm-enforcing", make(lsm={"apparmor": {"profiles": {"docker-default": GONE}}}, **stopped))
