"""Name the Linux capabilities of a bit mask, and those of the engine's default set."""

from __future__ import annotations

from functools import lru_cache

from ansible_collections.hardener.docker.plugins.module_utils.docker import seccomp

# In numeric order (linux/capability.h).
_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(_NAMES.split())
DEFAULT = frozenset(name.removeprefix("CAP_") for name in seccomp.CAPABILITIES)


@lru_cache(maxsize=256)  # most containers share a handful of sets
def names_of(mask: int) -> frozenset[str]:
    """Return the names of the capabilities in a bit mask; the name of an unknown bit is its number."""
    return frozenset(
        CAPABILITIES[bit] if bit < len(CAPABILITIES) else str(bit) for bit in range(64) if mask >> bit & 1
    )
