from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import coverage as module
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import Container
from ansible_collections.hardener.docker.plugins.module_utils.activity.coverage import (
    unavailable_sources,
    unrecorded_actions,
)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the kernel's files say."""
    said = {
        "/sys/module/apparmor/parameters/enabled": "Y\n",
        "/proc/sys/kernel/seccomp/actions_logged": "kill_process kill_thread trap errno log\n",
    }
    monkeypatch.setattr(module, "_read", lambda path: said.get(path, ""))
    return said


def test_apparmor_profiles_and_seccomp_filters_that_deny_silently_are_named(files: dict[str, str]) -> None:
    containers = [Container(f"{n:064x}", f"web{n}", "nginx", silent="docker-default") for n in range(7)]
    containers.append(Container("f" * 64, "", "x", silent="unconfined"))
    silent, unconfined, seccomp = unrecorded_actions(containers)
    assert silent.startswith("web0, web1, web2, web3, web4 and 2 more run under docker-default")
    assert unconfined.startswith("ffffffffffff run unconfined")
    assert seccomp.startswith("calls that seccomp refuses with an error")


@pytest.mark.parametrize("declared", ["unconfined", "docker-default", ""])
@pytest.mark.parametrize(
    ("label", "in_force"),
    [
        ("unconfined", "unconfined"),  # also where the profile was removed from the kernel
        ("docker-default (enforce)", "docker-default"),
        ("docker-default (complain)", ""),
        ("own (enforce)", ""),
        ("unconfined-tool (enforce)", ""),
        ("system_u:system_r:spc_t:s0", "unconfined"),
        ("system_u:system_r:container_t:s0:c1,c2", ""),
        ("", None),  # the kernel tells none
    ],
)
def test_the_confinement_in_force_decides_and_not_the_declared_one(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, declared: str, label: str, in_force: str | None
) -> None:
    monkeypatch.setattr(module, "label", {7: label}.__getitem__)
    told = " ".join(unrecorded_actions([Container("a" * 64, "web", "nginx", silent=declared, pid=7)]))
    silent = declared if in_force is None else in_force
    assert ("web run unconfined" in told) is (silent == "unconfined")
    assert ("web run under docker-default" in told) is (silent == "docker-default")


def test_missing_kernel_support_for_recording_denials_is_reported(files: dict[str, str]) -> None:
    files["/sys/module/apparmor/parameters/enabled"] = "N\n"
    files["/proc/sys/kernel/seccomp/actions_logged"] = "kill_thread trap\n"
    found = unrecorded_actions([Container("a" * 64, "web", "nginx", silent="docker-default")])
    assert found[0].startswith("neither AppArmor nor SELinux is on")
    assert "kill_process, log" in found[1]


def test_unavailable_sources_are_listed_with_the_reason() -> None:
    assert unavailable_sources("", "") == []
    assert len(unavailable_sources("Operation not permitted", "no socket")) == 2


def test_a_missing_kernel_file_is_read_as_empty_text(tmp_path: Path) -> None:
    assert module._read(str(tmp_path / "no")) == ""
