"""Define what the engine's default seccomp profile refuses: one table for all readers and writers.

It is that of engine 20.10 to 29 (moby/profiles: seccomp/default.json), and needs no engine to be read.
"""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

# Capabilities of a container with default settings (moby: daemon/pkg/oci/caps/defaults.go).
_CAPABILITIES = """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP
    SETUID SYS_CHROOT
"""
CAPABILITIES = frozenset(f"CAP_{name}" for name in _CAPABILITIES.split())

# Calls that the profile permits with a capability, and without it only those of _ALSO_WITHOUT.
_OF_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount
        mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname
        setns syslog umount umount2 unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}
OF_CAPABILITY: Mapping[str, frozenset[str]] = {
    name: frozenset(calls.split()) for name, calls in _OF_CAPABILITY.items()
}
# With certain arguments only, or with Linux 4.8 and later.
_ALSO_WITHOUT = frozenset({"clone", "process_vm_readv", "process_vm_writev", "ptrace"})
# Calls that the profile permits with no capability. An engine before 25 permits those of io_uring.
_NEVER = """
    add_key create_module kexec_file_load kexec_load keyctl nfsservctl pivot_root request_key swapoff swapon
    sysfs uselib userfaultfd ustat vm86 vm86old
"""
_IO_URING = frozenset({"io_uring_enter", "io_uring_register", "io_uring_setup"})
_IO_URING_SINCE = (25,)

# Refused calls that change nothing outside the container, or that no current kernel or 64-bit program has.
_HARMLESS = """
    clock_settime64 clone3 get_mempolicy kcmp lookup_dcookie mbind nfsservctl pidfd_getfd process_madvise
    quotactl_fd set_mempolicy set_mempolicy_home_node stime sysfs umount uselib ustat vhangup vm86 vm86old
"""


def refused(version: tuple[int, ...]) -> frozenset[str]:
    """Return the calls that an engine of this version refuses to a container with default capabilities."""
    return REFUSED if version >= _IO_URING_SINCE else REFUSED - _IO_URING


def _without(capabilities: frozenset[str]) -> frozenset[str]:
    further = [calls for name, calls in OF_CAPABILITY.items() if name not in capabilities]
    return frozenset(_NEVER.split()).union(_IO_URING, *further) - _ALSO_WITHOUT


# The calls that the newest profile refuses to a container with default capabilities.
REFUSED = _without(CAPABILITIES)
# Those of them that a snapshot reports where a container's profile permits them.
REPORTED = REFUSED - frozenset(_HARMLESS.split())


def split(option: str) -> tuple[str, str]:
    """Return kind and value of an option; ``true`` is the value of one without a value.

    The engine splits at ``=``, or else at ``:``: the value of a label can contain colons.
    """
    kind, separator, value = option.partition("=" if "=" in option else ":")
    return kind, value if separator else "true"


def value(host: Mapping[str, Any], kind: str) -> str:
    """Return the value of the last option of a kind, which is the effective one; empty without one.

    Args:
        host: HostConfig of the container.
        kind: such as ``apparmor``.
    """
    options = [split(str(option)) for option in host.get("SecurityOpt") or ()]
    return next((value for found, value in reversed(options) if found == kind), "")
