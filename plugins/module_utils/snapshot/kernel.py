"""Read kernel settings, loaded modules and security modules."""

from __future__ import annotations

import os

from ..host.kernels import in_kernel
from ..host.read import read_or, read_text
from . import sysctls

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

# Settings that no control judges and no role sets: they explain why networking works or fails.
_TOLD = """
    kernel.core_pattern kernel.io_uring_disabled kernel.kexec_load_disabled kernel.modules_disabled
    kernel.panic_on_oops kernel.pid_max kernel.sysrq kernel.unprivileged_userns_clone
    net.bridge.bridge-nf-call-ip6tables net.ipv4.conf.all.arp_ignore net.ipv4.conf.all.forwarding
    net.ipv4.conf.all.route_localnet net.ipv4.conf.all.secure_redirects
    net.ipv4.conf.default.secure_redirects net.ipv4.ip_unprivileged_port_start
    net.ipv6.conf.all.accept_ra net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.all.forwarding
    net.ipv6.conf.default.accept_ra user.max_user_namespaces vm.max_map_count vm.mmap_min_addr
    vm.overcommit_memory vm.swappiness
"""
SETTINGS = tuple(sorted({*_TOLD.split(), *(each.key for each in sysctls.SETTINGS if "*" not in each.key)}))
# Modules that engines need, and modules whose users would miss them.
_MODULES = """
    algif_aead appletalk atm ax25 br_netfilter can cramfs dccp freevxfs hfs hfsplus ieee802154_socket
    ip6_tables ip_tables ip_vs ipx jffs2 llc2 n_hdlc netrom nf_conntrack nf_tables overlay rds rose sctp
    tipc x25
"""
MODULES = tuple(_MODULES.split())
# Words of the kernel's command line about security modules; other words may hold passwords.
_PARAMETERS = ("apparmor", "enforcing", "lsm", "security", "selinux")


def sysctl() -> dict[str, str | None]:
    """Return the source `sysctl`: name to value as text, None if the kernel has no such setting."""
    found: dict[str, str | None] = {}
    for name in SETTINGS:
        path = f"/proc/sys/{name.replace('.', '/')}"
        try:
            found[name] = " ".join(read_text(path).split())
        except FileNotFoundError:
            found[name] = None
    return found


def modules() -> dict[str, bool]:
    """Return the source `modules`: whether a module is loaded, or built in."""
    loaded = {line.partition(" ")[0] for line in read_or("/proc/modules", "").splitlines()}
    return {name: name in loaded or in_kernel(name) for name in MODULES}


def lsm() -> dict[str, Any]:
    """Return the source `lsm`."""
    active = read_or("/sys/kernel/security/lsm", "")
    return {
        "active": [name for name in active.split(",") if name],
        "apparmor": _apparmor(),
        "selinux": _selinux(),
        "seccomp": os.path.exists("/proc/sys/kernel/seccomp/actions_avail")
        or "\nSeccomp:" in read_or("/proc/self/status", ""),
        "lockdown": _bracketed(read_or("/sys/kernel/security/lockdown", "")),
        "boot": _boot(),
    }


def _boot() -> dict[str, Any]:
    """Return the security module parameters of the kernel, and whether GRUB sets them."""
    words = read_or("/proc/cmdline", "").split()
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return {
        "parameters": {name: given[name] for name in _PARAMETERS if name in given},
        # GRUB sets BOOT_IMAGE; its files alone may remain from a boot loader that is no longer used.
        "grub": "BOOT_IMAGE" in given
        and os.path.exists("/boot/grub/grub.cfg")
        and os.path.exists("/etc/default/grub"),
    }


def _apparmor() -> dict[str, Any]:
    enabled = read_or("/sys/module/apparmor/parameters/enabled", "N") == "Y"
    profiles = {}
    if enabled:
        # Unreadable while enabled is a failure of the source: "no profile is loaded" would be a guess.
        for line in read_text("/sys/kernel/security/apparmor/profiles").splitlines():
            name, _separator, mode = line.rpartition(" (")
            profiles[name] = mode.rstrip(")")
    return {
        "enabled": enabled,
        "in_kernel": os.path.isdir("/sys/module/apparmor"),
        "profiles": profiles,
    }


def _selinux() -> dict[str, Any]:
    enforce = read_or("/sys/fs/selinux/enforce", "")
    config = {}
    for line in read_or("/etc/selinux/config", "").splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#"):
            config[name.strip()] = value.strip()
    return {
        "enabled": enforce in ("0", "1"),
        "mode": {"0": "permissive", "1": "enforcing"}.get(enforce),
        "policy": config.get("SELINUXTYPE"),
        "config": config,
    }


def _bracketed(text: str) -> str | None:
    """Return the selected word, in brackets, of a text such as ``[none] integrity confidentiality``."""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), None)
