"""Seccomp filters, beside the default of their engine."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.filters import FilterKind
from tests.unit.workload.containers import BUILTIN, EVERYTHING, FLAT, NARROW, judged, running

OWN = {"SecurityOpt": ["seccomp={}"]}


def kind(subject: dict[str, Any], *others: dict[str, Any], **sources: Any) -> str:
    return judged(subject, *others, **sources)["web"].has.seccomp.kind.value


@pytest.mark.parametrize(
    ("expected", "profile", "proc"),
    [
        ("none", None, {"seccomp": 0}),
        ("none", NARROW, {"seccomp": 0}),
        ("unknown", None, {}),
        ("wide", EVERYTHING, {}),
        ("wider", FLAT, {}),
        ("wider", {**NARROW, "open": ["keyctl"]}, {}),
        ("wider", {**NARROW, "unlimited": ["clone3"]}, {}),
        ("default", {**BUILTIN, "default": "SCMP_ACT_ERRNO"}, {}),  # a copy of it
        ("narrower", NARROW, {}),
        ("other", {**BUILTIN, "calls": 361, "digest": "3" * 32}, {}),
        ("other", {**BUILTIN, "calls": None, "digest": "3" * 32}, {}),  # it names what it refuses
        # a process that came later, such as one of `docker exec --privileged`
        ("none", NARROW, {"processes": [{"pid": 9, "comm": "sh", "exe": "/sh", "uid": 0, "seccomp": 0}]}),
    ],
)
def test_a_seccomp_filter_is_classified_by_comparison_with_the_default(
    expected: str, profile: dict[str, Any] | None, proc: dict[str, Any]
) -> None:
    subject = running(profile=profile, proc=proc, HostConfig=OWN)
    assert kind(subject, running("other")) == expected


def test_a_container_under_the_engines_builtin_seccomp_profile_has_the_default_kind() -> None:
    assert kind(running()) == "default"
    assert kind(running(HostConfig={"SecurityOpt": ["seccomp=builtin"]})) == "default"


def test_without_a_container_under_the_default_profile_fewer_filter_kinds_are_recognised() -> None:
    found = judged(running(profile=NARROW, HostConfig=OWN))["web"].has.seccomp
    assert (found.kind, found.calls, found.default_calls) == (FilterKind.OTHER, 74, None)
    # Which calls every engine's default limits is known, and socket() is none of these.
    found = judged(running(profile=FLAT, HostConfig=OWN))["web"].has.seccomp
    assert (found.kind, found.unlimited) == (FilterKind.WIDER, ("clone",))
    assert kind(running(profile={**NARROW, "unlimited": ["socket"]}, HostConfig=OWN)) == "other"


def test_unlimited_socket_calls_widen_a_profile_only_if_the_default_limits_them() -> None:
    free = {**NARROW, "unlimited": ["socket"]}
    assert kind(running(profile=free, HostConfig=OWN), running("other")) == "wider"
    old = running("other", profile={**BUILTIN, "unlimited": ["socket"]})
    assert kind(running(profile=free, HostConfig=OWN), old) == "narrower"


def test_calls_opened_by_a_capability_are_not_attributed_to_the_seccomp_profile() -> None:
    admin = {"cap_bnd": "00000000a82425fb"}
    profile = {**NARROW, "open": ["mount"], "unlimited": ["clone", "clone3"]}
    assert kind(running(profile=profile, proc=admin, HostConfig=OWN), running("other")) == "narrower"
    assert kind(running(profile=profile, HostConfig=OWN), running("other")) == "wider"


def test_calls_that_a_capability_permits_do_not_make_a_seccomp_profile_wide() -> None:
    """What the default permits with SYS_ADMIN is nothing that the profile opens, however much it is."""
    admin = {"cap_bnd": "00000000a82425fb"}
    mounts = "mount mount_setattr move_mount open_tree umount2 fsconfig fsmount fsopen fspick unshare setns"
    calls = (
        f"{mounts} bpf fanotify_init perf_event_open quotactl setdomainname sethostname syslog keyctl acct"
    )
    profile = {**NARROW, "open": sorted(calls.split())}
    found = judged(running(profile=profile, proc=admin, HostConfig=OWN))["web"].has.seccomp
    assert (found.kind, found.opens) == (FilterKind.WIDER, ("acct", "keyctl"))
    assert kind(running(profile=profile, HostConfig=OWN)) == "wide"


def test_seccomp_profiles_are_not_compared_with_the_default_for_fewer_capabilities() -> None:
    admin, net = {"cap_bnd": "00000000a82425fb"}, {"cap_bnd": "00000000a80405fb"}
    assert kind(running(profile=BUILTIN, proc=admin, HostConfig=OWN), running("other")) != "default"
    assert kind(running(profile=BUILTIN, proc=net, HostConfig=OWN), running("other")) == "default"


def test_seccomp_profiles_are_compared_with_the_default_for_the_same_capabilities() -> None:
    admin = {"cap_bnd": "00000000a82425fb"}
    others = (
        running("plain"),
        running("admin", profile={**BUILTIN, "calls": 390, "digest": "4" * 32}, proc=admin),
    )
    found = judged(running(profile=NARROW, proc=admin, HostConfig=OWN), *others)["web"].has.seccomp
    assert found.default_calls == 390
    found = judged(running(profile=NARROW, HostConfig=OWN), *others)["web"].has.seccomp
    assert found.default_calls == 361


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("name=seccomp,profile=builtin", "default"),
        ("name=seccomp,profile=default", "default"),  # as engines before 23 say it
        ("name=seccomp,profile=/etc/docker/own.json", "other"),
        ("name=seccomp,profile=unconfined", "other"),
    ],
)
def test_a_seccomp_profile_that_the_daemon_sets_is_not_taken_for_the_engines_default(
    option: str, expected: str
) -> None:
    assert kind(running(), info={"SecurityOptions": [option]}) == expected


def test_the_number_of_seccomp_filters_is_read_if_the_kernel_reports_it() -> None:
    assert judged(running())["web"].has.seccomp.filters is None
    assert judged(running(proc={"seccomp_filters": 2}))["web"].has.seccomp.filters == 2


@pytest.mark.parametrize("proc", [{"seccomp": None}, {"seccomp": "two"}, {"cap_bnd": "x"}])
def test_an_unreadable_filter_is_named_and_not_taken_for_the_default(proc: dict[str, Any]) -> None:
    found = judged(running(proc=proc, HostConfig=OWN))["web"]
    assert found.has.seccomp.kind is FilterKind.UNKNOWN
    assert any(text.startswith("seccomp: ") for text in found.has.unknown)
