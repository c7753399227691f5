from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.records import Denial
from ansible_collections.hardener.docker.plugins.module_utils.activity.severity import classify


def denial(operation: str, detail: str = "", target: str = "") -> Denial:
    return Denial(0.0, "apparmor", "denied", operation, detail, target, "x", 1, "")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (denial("mount", target="/mnt"), ("mount", "high")),
        (denial("pivot_root"), ("mount", "high")),
        (denial("ptrace", "read"), ("ptrace", "high")),
        (denial("process_vm_readv"), ("ptrace", "high")),
        (denial("open", "w", "/proc/sysrq-trigger"), ("kernel memory", "high")),
        (denial("open", "r", "/proc/kcore"), ("kernel memory", "high")),
        (denial("capable", "sys_module"), ("capability", "high")),
        (denial("net_admin", "capability"), ("capability", "high")),
        (denial("finit_module"), ("kernel code", "high")),
        (denial("bpf"), ("kernel code", "high")),
        (denial("kexec_load"), ("kernel code", "high")),
        (denial("module_load", "system"), ("kernel code", "high")),
        (denial("open_by_handle_at"), ("file handle", "high")),
        (denial("unshare"), ("namespace", "medium")),
        (denial("userns_create"), ("namespace", "medium")),
        (denial("keyctl"), ("kernel keys", "medium")),
        (denial("open", "w", "/proc/sys/kernel/panic"), ("kernel settings", "medium")),
        (denial("create", "packet raw"), ("raw network", "medium")),
        (denial("open", "w", "/etc/mount"), ("other", "low")),
        (denial("open", "w", "/data/proc/kcore"), ("other", "low")),
        (denial("syscall 83"), ("other", "low")),
    ],
)
def test_each_denial_is_classified_by_kind_and_severity(act: Denial, expected: tuple[str, str]) -> None:
    assert classify(act) == expected
