"""What profiles leave open."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import seccomp_rules
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import REPORTED
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import seccomp

from tests.hanging import must_end
from tests.unit.operations import operations

ALLOW = "SCMP_ACT_ALLOW"
STRICT = {"names": ["read", "mount"], "action": "SCMP_ACT_ALLOW"}
REFUSES_MOUNT = {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}
ANY = {"caps": ["CAP_SYS_ADMIN"]}


@pytest.mark.parametrize(
    ("profile", "found"),
    [
        ({"defaultAction": "SCMP_ACT_ALLOW"}, sorted(REPORTED)),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": None}, sorted(REPORTED)),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [STRICT]}, ["mount"]),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**STRICT, "args": [{"index": 0}]}]}, ["mount"]),
        # The runtime takes the first of several rules for any arguments.
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [REFUSES_MOUNT, STRICT]}, []),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [STRICT, REFUSES_MOUNT]}, ["mount"]),
        # One that does what is done anyway is none.
        (
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**REFUSES_MOUNT, "errnoRet": 1}, STRICT]},
            ["mount"],
        ),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**REFUSES_MOUNT, "excludes": ANY}, STRICT]}, []),
        (
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [STRICT, {**REFUSES_MOUNT, "excludes": ANY}]},
            ["mount"],
        ),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**STRICT, "includes": {"caps": ["X"]}}]}, []),
        (
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "bpf", "action": ALLOW}]},
            ["bpf"],
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": sorted(REPORTED - {"keyctl"}), "action": "SCMP_ACT_ERRNO"}],
            },
            ["keyctl"],
        ),
    ],
)
def test_permitted_calls_of_a_profile_are_read(profile: dict[str, Any], found: list[str]) -> None:
    assert seccomp_rules.declared(json.dumps(profile)) == {"default": profile["defaultAction"], "open": found}


@pytest.mark.parametrize("text", ["unconfined", "", "[", "[]", "/etc/profile.json", "[" * 100_000])
def test_a_text_that_is_no_seccomp_profile_gives_no_facts(text: str) -> None:
    assert seccomp_rules.declared(text) is None


def test_the_profile_in_force_is_read_from_the_oci_bundle(tmp_path: Path) -> None:
    for number, action in enumerate(("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_ERRNO")):
        folder = tmp_path / f"daemon/io.containerd.runtime.v2.task/moby/c{number}"
        folder.mkdir(parents=True)
        config = {"linux": {"namespaces": [], "seccomp": {"defaultAction": action}, "maskedPaths": []}}
        (folder / "config.json").write_text(json.dumps(config, separators=(",", ":")))
    (tmp_path / "daemon/io.containerd.runtime.v2.task/moby/c4").mkdir()
    (tmp_path / "daemon/io.containerd.runtime.v2.task/moby/c4/config.json").write_text('{"linux":{}}')
    engine: Any = SimpleNamespace(
        declared={"containerd": f"{tmp_path}/containerd.sock"}.get, environment={}, euid=0, rootless=False
    )
    bundles = seccomp.Bundles(engine)
    found = [bundles.effective(name) for name in ("c0", "c1", "c2", "c3", "c4")]
    assert [each and each["default"] for each in found] == [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_ERRNO",
        None,
        None,
    ]


ERRNO = "SCMP_ACT_ERRNO"
NOT_VSOCK = {"index": 0, "value": 40, "op": "SCMP_CMP_NE"}
PROFILE: dict[str, Any] = {
    "defaultAction": ERRNO,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "syscalls": [
        {"names": ["read", "write", "clone"], "action": ALLOW},
        {"names": ["socket"], "action": ALLOW, "args": [NOT_VSOCK]},
        {"names": ["clone3"], "action": ERRNO, "errnoRet": 38},
    ],
}
# The same, written otherwise: order, old key, one rule a call, what the default says anyway.
REWRITTEN: dict[str, Any] = {
    "defaultAction": ERRNO,
    "defaultErrnoRet": 1,
    "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
    "syscalls": [
        {"names": ["bpf"], "action": ERRNO, "errnoRet": 1},
        {"name": "clone3", "action": ERRNO, "errnoRet": 38},
        {"names": ["socket"], "action": ALLOW, "args": [dict(reversed(NOT_VSOCK.items()))]},
        {"names": ["clone"], "action": ALLOW, "args": [NOT_VSOCK]},
        {"names": ["clone", "write"], "action": ALLOW, "args": []},
        {"names": ["read"], "action": ALLOW, "args": None},
    ],
}


def test_profiles_of_equal_meaning_have_equal_digests() -> None:
    assert seccomp.meaning(PROFILE) == seccomp.meaning(REWRITTEN)
    assert seccomp.meaning(PROFILE)["calls"] == 4
    assert seccomp.meaning(PROFILE)["unlimited"] == ["clone"]


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_KILL"},
        {"defaultErrnoRet": 38},
        {"architectures": ["SCMP_ARCH_X86_64"]},
        {"syscalls": PROFILE["syscalls"][:2]},
        {"syscalls": [*PROFILE["syscalls"], {"names": ["socket"], "action": ALLOW}]},
        {"syscalls": [*PROFILE["syscalls"], {"names": ["bpf"], "action": ERRNO, "errnoRet": 38}]},
        {"syscalls": [*PROFILE["syscalls"][1:], {**PROFILE["syscalls"][0], "action": "SCMP_ACT_LOG"}]},
    ],
    ids=str,
)
def test_profiles_of_different_meaning_have_different_digests(change: dict[str, Any]) -> None:
    assert seccomp.meaning({**PROFILE, **change})["digest"] != seccomp.meaning(PROFILE)["digest"]


def test_a_profile_with_a_permissive_default_action_is_read() -> None:
    refused = [
        {"names": ["clone"], "action": ERRNO},
        {"names": ["socket"], "action": ERRNO, "args": [NOT_VSOCK]},
    ]
    found = seccomp.meaning({"defaultAction": ALLOW, "syscalls": refused})
    assert (found["calls"], found["unlimited"]) == (None, ["clone3", "personality", "socket"])


@pytest.mark.parametrize(
    ("condition", "unlimited"),
    [
        ({"index": 0, "value": 0, "op": "SCMP_CMP_GE"}, True),
        ({"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}, False),
        ({"index": 0, "value": 0x10000000, "op": "SCMP_CMP_NE"}, False),
        ({"index": 0, "value": 0x10000000, "op": "SCMP_CMP_EQ"}, True),
        ({"index": 0, "value": 0x10000000, "op": "SCMP_CMP_LT"}, False),
        ({"index": 0, "value": 0x10000000, "op": "SCMP_CMP_LE"}, True),
        ({"index": 0, "value": 0x10000000, "op": "SCMP_CMP_GT"}, False),
        ({"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}, True),
    ],
)
def test_conditions_that_permit_more_than_the_default_are_found(
    condition: dict[str, Any], unlimited: bool
) -> None:
    clone = {"names": ["clone"], "action": ALLOW, "args": [condition]}
    found = seccomp.meaning({"defaultAction": ERRNO, "syscalls": [clone]})
    assert found["unlimited"] == (["clone"] if unlimited else [])


def test_many_rules_for_one_call_are_read_in_linear_time() -> None:
    rules = [
        {"names": ["clone"], "action": ALLOW, "args": [{"index": 0, "value": number, "op": "SCMP_CMP_EQ"}]}
        for number in range(20_000)
    ]

    def read(number: int) -> Any:
        return seccomp.meaning({"defaultAction": ERRNO, "syscalls": (rules + rules)[:number]})

    assert operations(lambda: read(800)) <= 12 * operations(lambda: read(100))
    with must_end():
        assert read(40_000) == read(20_000)


def test_only_the_profile_that_the_runtime_resolved_is_compared_by_its_meaning(tmp_path: Path) -> None:
    """One in a container's options may still have rules for some capabilities or kernels only."""
    assert seccomp_rules.declared(json.dumps(PROFILE)) == {"default": ERRNO, "open": []}
    folder = tmp_path / "daemon/io.containerd.runtime.v2.task/moby/c0"
    folder.mkdir(parents=True)
    engine: Any = SimpleNamespace(
        declared={"containerd": f"{tmp_path}/containerd.sock"}.get, environment={}, euid=0, rootless=False
    )
    for profile, keys in (
        (PROFILE, {"default", "open", "calls", "unlimited", "digest"}),
        ({**PROFILE, "syscalls": "no list"}, None),
        ({**PROFILE, "syscalls": [{"names": 7}]}, None),
        ({**PROFILE, "architectures": 7}, None),
    ):
        (folder / "config.json").write_text(
            json.dumps({"linux": {"seccomp": profile}}, separators=(",", ":"))
        )
        found = seccomp.Bundles(engine).effective("c0")
        assert (found and set(found)) == keys
