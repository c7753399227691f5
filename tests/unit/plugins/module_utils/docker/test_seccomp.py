from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import seccomp
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split, value

from tests.unit.workload.engines import DEFAULTS

ENGINE = (26, 1, 5)


def permitted(profile: dict[str, Any]) -> set[str]:
    """The calls that a profile, as an engine resolved it, permits with any arguments."""
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    return {name for rule in rules if not rule.get("args") for name in rule["names"]}


def test_the_table_of_refused_calls_equals_the_default_profile_of_a_real_engine() -> None:
    default, everything = permitted(DEFAULTS["default"]), permitted(DEFAULTS["all"])
    assert not seccomp.refused(ENGINE) & default
    assert everything - default == seccomp.refused(ENGINE) & everything | {"clone"}
    assert frozenset(DEFAULTS["capabilities"]) == seccomp.CAPABILITIES


def test_the_calls_of_a_capability_are_those_that_a_real_engine_permits_with_it() -> None:
    added = permitted(DEFAULTS["admin"]) - permitted(DEFAULTS["default"])
    assert added == seccomp.OF_CAPABILITY["CAP_SYS_ADMIN"]
    removed = permitted(DEFAULTS["default"]) - permitted(DEFAULTS["none"])
    assert removed == seccomp.OF_CAPABILITY["CAP_SYS_CHROOT"]


def test_older_engines_permit_io_uring() -> None:
    older = seccomp.refused((24, 0, 7))
    assert seccomp.REFUSED - older == {
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
    }


def test_only_calls_that_the_default_profile_refuses_are_reported() -> None:
    assert seccomp.REPORTED < seccomp.REFUSED
    assert {"bpf", "keyctl", "mount", "userfaultfd"} <= seccomp.REPORTED
    assert not {"kcmp", "umount", "vhangup"} & seccomp.REPORTED


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("seccomp=unconfined", ("seccomp", "unconfined")),
        ("apparmor:own", ("apparmor", "own")),
        ("label=type:svirt_t", ("label", "type:svirt_t")),
        ('seccomp={"a": "b=c"}', ("seccomp", '{"a": "b=c"}')),
        ("no-new-privileges", ("no-new-privileges", "true")),
        ("no-new-privileges:false", ("no-new-privileges", "false")),
        ("seccomp=", ("seccomp", "")),
    ],
)
def test_an_option_has_a_kind_and_a_value(option: str, expected: tuple[str, str]) -> None:
    assert split(option) == expected


def test_the_last_option_of_a_kind_is_effective() -> None:
    host = {"SecurityOpt": ["seccomp=unconfined", "label=disable", "seccomp={}"]}
    assert value(host, "seccomp") == "{}"
    assert value(host, "apparmor") == value({"SecurityOpt": None}, "seccomp") == ""
