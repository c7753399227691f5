"""Our own controls: what CIS leaves to "harden the host" and a container attacks first."""

from __future__ import annotations

from collections.abc import Callable

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.verdicts import count, failed, listed, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, Snapshot

Holds = Callable[[int], bool]


def _one_of(*values: int) -> tuple[str, Holds]:
    return " or ".join(str(value) for value in values), lambda found: found in values


def _at_least(least: int) -> tuple[str, Holds]:
    return f"{least} or more", lambda found: found >= least


_SCOPES = ("all", "default")

# Value and reason in one place; the catalogue's page of the control says the same to people. Nothing here
# takes anything from a container: forwarding stays, and user namespaces stay for rootless engines.
KERNEL_SETTINGS: dict[str, tuple[str, Holds]] = {
    # Addresses and logs of the kernel are what an exploit needs to aim.
    "kernel.kptr_restrict": _one_of(1, 2),
    "kernel.dmesg_restrict": _one_of(1),
    "kernel.randomize_va_space": _one_of(2),
    # Interfaces that ordinary processes rarely need and exploits often do.
    "kernel.unprivileged_bpf_disabled": _one_of(1, 2),
    "net.core.bpf_jit_harden": _one_of(1, 2),
    "kernel.perf_event_paranoid": _at_least(2),
    "kernel.yama.ptrace_scope": _at_least(1),
    # Races in shared directories, and memory of setuid programs on the disk.
    "fs.protected_hardlinks": _one_of(1),
    "fs.protected_symlinks": _one_of(1),
    "fs.protected_fifos": _one_of(1, 2),
    "fs.protected_regular": _one_of(1, 2),
    "fs.suid_dumpable": _one_of(0, 2),
    # Nobody else decides where this host sends packets.
    **{f"net.ipv4.conf.{scope}.accept_redirects": _one_of(0) for scope in _SCOPES},
    **{f"net.ipv6.conf.{scope}.accept_redirects": _one_of(0) for scope in _SCOPES},
    **{f"net.ipv4.conf.{scope}.accept_source_route": _one_of(0) for scope in _SCOPES},
    **{f"net.ipv6.conf.{scope}.accept_source_route": _one_of(0) for scope in _SCOPES},
    **{f"net.ipv4.conf.{scope}.send_redirects": _one_of(0) for scope in _SCOPES},
    **{f"net.ipv4.conf.{scope}.rp_filter": _one_of(1, 2) for scope in _SCOPES},
    # Floods and amplification.
    "net.ipv4.tcp_syncookies": _one_of(1, 2),
    "net.ipv4.icmp_echo_ignore_broadcasts": _one_of(1),
    "net.ipv4.icmp_ignore_bogus_error_responses": _one_of(1),
}

# What a rootful engine needs, and the usual server baselines take away.
NEEDED_BY_DOCKER: dict[str, tuple[str, Holds]] = {
    "net.ipv4.ip_forward": _one_of(1),
    "net.bridge.bridge-nf-call-iptables": _one_of(1),
}


@check("host-kernel-settings")
def kernel_settings(snapshot: Snapshot) -> Verdict:
    """The values in force; a key that this kernel does not have is no finding."""
    sysctl = snapshot.fact("sysctl")
    wanted = dict(KERNEL_SETTINGS)
    if snapshot.engine_installed and not runs_rootless(snapshot):
        wanted |= NEEDED_BY_DOCKER
    offenders = []
    checked = 0
    for key, (words, holds) in wanted.items():
        if key not in sysctl:
            raise FactUnavailable("sysctl", f"{key} was not collected")
        if sysctl[key] is None:
            continue
        checked += 1
        value = str(sysctl[key]).strip()
        if not (value.lstrip("-").isdecimal() and holds(int(value))):
            offenders.append(Offender("setting", key, f"is {value}, should be {words}"))
    expected = "kernel settings of the baseline are in force"
    if not offenders:
        return passed(expected, f"all {count(checked, 'setting')} hold", checked=checked)
    shown = listed([f"{offender.name} {offender.detail}" for offender in offenders], glue="; ")
    return failed(
        expected,
        f"{len(offenders)} of {count(checked, 'setting')}: {shown}",
        offenders=offenders,
        checked=checked,
    )


@check("host-lsm-enforcing")
def lsm_enforcing(snapshot: Snapshot) -> Verdict:
    """A security module that the kernel enforces and that the engine found when it started."""
    expected = "AppArmor or SELinux enforces, for containers as well"
    lsm = snapshot.fact("lsm")
    apparmor = lsm.get("apparmor") or {}
    selinux = lsm.get("selinux") or {}
    profiles = apparmor.get("profiles") or {}
    evidence = [
        f"active: {', '.join(str(name) for name in lsm.get('active') or ())}",
        f"apparmor: {'on' if apparmor.get('enabled') else 'off'}, {count(len(profiles), 'profile')} loaded",
        f"selinux: {selinux.get('mode') or 'off'}",
    ]
    if selinux.get("enabled") and selinux.get("mode") == "enforcing":
        module, problem = "selinux", ""
    elif apparmor.get("enabled"):
        module, problem = "apparmor", _docker_profile(snapshot, profiles)
    else:
        off = "SELinux does not enforce" if selinux.get("enabled") else "neither AppArmor nor SELinux is on"
        return failed(expected, off, offenders=[Offender("lsm", "kernel", off)], evidence=evidence)
    if not problem and snapshot.engine_installed and module not in snapshot.security_options:
        problem = f"{module} is on, and the engine does not use it"
    if problem:
        return failed(expected, problem, offenders=[Offender("lsm", module, problem)], evidence=evidence)
    return passed(expected, f"{module} enforces", evidence=evidence)


def _docker_profile(snapshot: Snapshot, profiles: dict[str, str]) -> str:
    """What is wrong with the profile that containers get, ``""`` where nothing is."""
    if not snapshot.engine_installed:
        return ""
    mode = profiles.get("docker-default")
    if mode in ("enforce", "kill"):
        return ""
    if mode is None:
        snapshot.info  # noqa: B018 - the engine loads it when it starts: one that is stopped decides nothing
        return "the profile docker-default is not loaded"
    return f"the profile docker-default is in mode {mode}"
