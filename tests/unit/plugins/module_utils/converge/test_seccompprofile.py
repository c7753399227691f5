from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.seccompprofile import problem

RULE: dict[str, Any] = {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}
GOOD: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": None}],
    "syscalls": [
        RULE,
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
            "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"},
            "excludes": None,
        },
        {"name": "chroot", "action": "SCMP_ACT_ALLOW", "args": None},
    ],
}


def test_a_profile_like_the_built_in_one_is_accepted() -> None:
    assert problem(json.dumps(GOOD).encode()) == ""
    assert problem(b'{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": null}') == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "no defaultAction"),
        (b"{}", "no defaultAction"),
    ],
)
def test_an_invalid_profile_is_refused(content: bytes, reason: str) -> None:
    assert reason in problem(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"defaultAction": "SCMP_ACT_ALOW"}, "the unknown action 'SCMP_ACT_ALOW' (defaultAction)"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [RULE]}, "allows everything"),
        ({"architectures": ["SCMP_ARCH_X86_64"]}, "both architectures and archMap"),
        ({"syscalls": {}}, ""),
        ({"syscalls": {"x": 1}}, "syscalls is not a list"),
        ({"syscalls": ["read"]}, "a rule that is not an object (syscalls[0])"),
        ({"syscalls": [RULE, {**RULE, "action": None}]}, "the unknown action None (syscalls[1])"),
        ({"syscalls": [{**RULE, "names": ["read", 3]}]}, "names are not a list of strings"),
        ({"syscalls": [{**RULE, "name": "read"}]}, "both name and names"),
        ({"syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, "names no system call"),
        ({"syscalls": [{**RULE, "args": [{"index": 0, "op": "EQ"}]}]}, "without a known operator"),
        (
            {"syscalls": [{**RULE, "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]},
            "not a valid number",
        ),
        (
            {"syscalls": [{**RULE, "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}]},
            "not a valid number",
        ),
        ({"syscalls": [{**RULE, "includes": {"caps": "CAP_BPF"}}]}, "includes are not an object"),
    ],
)
def test_errors_that_appear_only_when_a_container_starts_are_found(
    change: dict[str, Any], reason: str
) -> None:
    found = problem(json.dumps({**GOOD, **change}).encode())
    assert reason in found
    assert bool(found) == bool(reason)
