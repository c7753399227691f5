"""Our own controls: kernel settings and security modules, which CIS leaves to "harden the host"."""

from __future__ import annotations

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.lib.verdicts import count, failed, listed, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, Snapshot


@check("host-kernel-settings")
def kernel_settings(snapshot: Snapshot) -> Verdict:
    """Check the effective kernel settings; a key that this kernel lacks is ignored."""
    sysctl = snapshot.fact("sysctl")
    with_docker = snapshot.engine_installed and not runs_rootless(snapshot)
    offenders = []
    checked = 0
    for setting in sysctls.judged():
        key = setting.key
        if setting.needed and not with_docker:
            continue
        if key not in sysctl:
            raise FactUnavailable("sysctl", f"{key} was not collected")
        if sysctl[key] is None:
            continue
        checked += 1
        value = str(sysctl[key]).strip()
        if not (value.lstrip("-").isdecimal() and setting.holds(int(value))):
            offenders.append(Offender("setting", key, f"is {value}, should be {setting.words}"))
    expected = "the kernel settings match the baseline"
    if not offenders:
        return passed(expected, f"all {count(checked, 'setting')} match the baseline", checked=checked)
    shown = listed([f"{offender.name} {offender.detail}" for offender in offenders], glue="; ")
    return failed(
        expected,
        f"{len(offenders)} of {count(checked, 'setting')}: {shown}",
        offenders=offenders,
        checked=checked,
    )


@check("host-lsm-enforcing")
def lsm_enforcing(snapshot: Snapshot) -> Verdict:
    """Check for a security module that the kernel enforces and that the engine uses."""
    expected = "AppArmor or SELinux enforces its policy, also for containers"
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
        problem = f"{module} is on, but the engine does not use it"
    if problem:
        return failed(expected, problem, offenders=[Offender("lsm", module, problem)], evidence=evidence)
    return passed(expected, f"{module} enforces", evidence=evidence)


def _docker_profile(snapshot: Snapshot, profiles: dict[str, str]) -> str:
    """Describe what is wrong with the default AppArmor profile of containers; empty if nothing is."""
    if not snapshot.engine_installed:
        return ""
    mode = profiles.get("docker-default")
    if mode in ("enforce", "kill"):
        return ""
    if mode is None:
        snapshot.info  # noqa: B018 - the engine loads it at its start: a stopped engine decides nothing
        return "the profile docker-default is not loaded"
    return f"the profile docker-default is in mode {mode}"
