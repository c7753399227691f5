"""Classify denials and rate their severity; attempts to escape from a container have a high severity."""

from __future__ import annotations

import re

from .records import Denial

HIGH, MEDIUM, LOW = "high", "medium", "low"
RANKS = {HIGH: 2, MEDIUM: 1, LOW: 0}

_MOUNT = {"mount", "umount", "umount2", "remount", "pivotroot", "pivot_root", "move_mount", "open_tree"}
_MOUNT |= {"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "mounton", "unmount"}
_PTRACE = {"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"}
_KERNEL = {"init_module", "finit_module", "delete_module", "module_load", "module_request", "bpf"}
_KERNEL |= {"kexec_load", "kexec_file_load", "prog_load", "map_create"}
_NAMESPACES = {"unshare", "setns", "clone", "clone3", "userns_create"}
_KEYS = {"add_key", "keyctl", "request_key"}
_HANDLES = {"open_by_handle_at", "name_to_handle_at"}
_MACHINE = {
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "acct",
    "iopl",
    "ioperm",
    "syslog",
}
_MEMORY = re.compile(r"/proc/(?:kcore|kmem|mem|sysrq-trigger)|/dev/(?:mem|kmem|port)|/sys/kernel/security.*")
_SETTINGS = re.compile(r"/(?:proc/sys|sys)(?:/.*)?")
_CAPABILITIES = {"capability", "capability2", "cap_userns", "cap2_userns"}
_PACKET = {"packet", "raw", "packet_socket", "rawip_socket"}


def classify(denial: Denial) -> tuple[str, str]:
    """Return the class of a denial and its severity."""
    acts = set(denial.operation.split())
    if acts & _MOUNT:
        return "mount", HIGH
    if acts & _PTRACE or denial.detail == "ptrace":
        return "ptrace", HIGH
    if acts & _KERNEL or denial.detail in ("bpf", "lockdown"):
        return "kernel code", HIGH
    if _MEMORY.fullmatch(denial.target):
        return "kernel memory", HIGH
    if denial.operation == "capable" or denial.detail in _CAPABILITIES:
        return "capability", HIGH
    if acts & _HANDLES:
        return "file handle", HIGH
    if acts & _NAMESPACES:
        return "namespace", MEDIUM
    if acts & _KEYS:
        return "kernel keys", MEDIUM
    if acts & _MACHINE:
        return "machine", MEDIUM
    if _SETTINGS.fullmatch(denial.target):
        return "kernel settings", MEDIUM
    if _PACKET & {*denial.detail.split()}:
        return "raw network", MEDIUM
    return "other", LOW
