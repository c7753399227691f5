"""Parse audit records into denials, and rate these; an attacker may have chosen parts of a record's text.

All values that are not the kernel's own keywords are treated as text only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..host import audit
from .syscalls import syscall_name

_SELINUX = re.compile(r"avc:  (denied|granted)  \{ ([a-z_0-9 ]{1,200}?) \} for ")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
# ALLOWED: the profile is in complain mode.
_APPARMOR = {"DENIED": "denied", "ALLOWED": "allowed", "KILLED": "killed"}
_ACTIONS = {
    0x80000000: "killed",
    0x00000000: "killed",
    0x00030000: "trapped",
    0x00050000: "denied",
    0x7FC00000: "notified",
    0x7FF00000: "traced",
    0x7FFC0000: "logged",
}


class Denial(NamedTuple):
    """An access that the kernel denied or logged."""

    at: float  # seconds of the epoch
    source: str  # "apparmor", "selinux", "seccomp"
    verdict: str  # "denied", "allowed" (complain mode), "killed", "logged", …
    operation: str  # mount, capable, a system call, permissions
    detail: str  # object of the operation: a capability, an object class, a mask
    target: str  # a path or another profile; untrusted text
    command: str  # the process's name; untrusted text
    pid: int
    confinement: str  # AppArmor's profile, SELinux's context


def parse(kind: int, text: str) -> Denial | None:
    """Parse a record into a denial; return None for records of other kinds or of unknown form."""
    found = audit.event(text)
    if kind not in (audit.AVC, audit.SECCOMP) or found is None:
        return None
    if kind == audit.SECCOMP:
        return _seccomp(found.at, audit.fields(found.body))
    selinux = _SELINUX.match(found.body)
    if selinux:
        return _selinux(found.at, selinux[1], selinux[2], audit.fields(found.body[selinux.end() :]))
    return _apparmor(found.at, audit.fields(found.body))


def _plain_word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""


def _apparmor(at: float, fields: dict[str, str]) -> Denial | None:
    verdict, operation = _APPARMOR.get(fields.get("apparmor", "")), _plain_word(fields.get("operation", ""))
    if verdict is None or not operation:
        return None
    if operation == "capable":
        words = [_plain_word(fields.get("capname", ""))]
    elif fields.get("family"):
        words = [_plain_word(fields.get(name, "")) for name in ("family", "sock_type")]
    else:
        words = [_plain_word(fields.get("denied_mask", "") or fields.get("requested_mask", ""))]
    return Denial(
        at,
        "apparmor",
        verdict,
        operation,
        " ".join(filter(None, words)),
        fields.get("name") or fields.get("peer", ""),
        fields.get("comm", ""),
        audit.number(fields.get("pid", "")),
        fields.get("profile", ""),
    )


def _selinux(at: float, verdict: str, permissions: str, fields: dict[str, str]) -> Denial | None:
    if verdict != "denied":
        return None
    return Denial(
        at,
        "selinux",
        "allowed" if fields.get("permissive") == "1" else "denied",
        permissions.strip(),
        _plain_word(fields.get("tclass", "")),
        fields.get("path") or fields.get("name", ""),
        fields.get("comm", ""),
        audit.number(fields.get("pid", "")),
        fields.get("scontext", ""),
    )


def _seccomp(at: float, fields: dict[str, str]) -> Denial | None:
    number, code = audit.number(fields.get("syscall", "")), audit.number(fields.get("code", ""), 16)
    if number < 0 or code < 0:
        return None
    return Denial(
        at,
        "seccomp",
        _ACTIONS.get(code & 0xFFFF0000, "other"),
        syscall_name(number, fields.get("arch", "")),
        "",
        "",
        fields.get("comm", ""),
        audit.number(fields.get("pid", "")),
        "",
    )


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
