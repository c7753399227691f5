"""Check the confinement of processes: AppArmor, SELinux, seccomp, no_new_privs, and no privileged mode."""

from __future__ import annotations

from collections.abc import Iterator

from hardener.checks import check
from hardener.checks.lib import fields
from hardener.checks.lib import filters as seccomp_profiles
from hardener.checks.lib.containers import SOURCE, Container, container_check, every_container, go_bool
from hardener.checks.lib.filters import (
    Filter,
    FilterKind,
    bounding_mask,
    compare_declared,
    compare_running,
    has_own_profile,
    processes,
    requests_default,
)
from hardener.checks.lib.labels import DEFAULT_PROFILE, UNCONFINED_TYPES, apparmor_label
from hardener.checks.lib.rule import Note
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import count, listed, needs_engine, not_applicable
from hardener.model import Verdict
from hardener.snapshot import JSONObject, Snapshot, version_tuple

_NAMED = 20  # calls; a profile that permits more of those that the default refuses counts as no filter


@container_check("container-not-privileged", expected="no container is privileged")
def _privileged(container: Container) -> Iterator[str]:
    if container.privileged:
        yield "is privileged"


@check("container-apparmor")
@needs_engine
def apparmor(snapshot: Snapshot) -> Verdict:
    """Check that every container runs under an enforced AppArmor profile, if the engine uses AppArmor."""
    if "apparmor" not in snapshot.security_options:
        return not_applicable("the engine does not use AppArmor on this host")
    return every_container(
        snapshot, _apparmor, expected="every container is confined by an enforced AppArmor profile"
    )


def _apparmor(container: Container) -> Iterator[str]:
    declared = container.inspect.get("AppArmorProfile") or _declared_profile(container)
    own = declared not in {"unconfined", DEFAULT_PROFILE}
    if not container.running:
        if declared == "unconfined":
            yield "is set to run without an AppArmor profile"
        elif _loaded_profiles(container.snapshot).get(declared) == "complain":
            yield f"is set to run under {declared}, which is in complain mode"
        return
    label = apparmor_label(container)
    if not label.enforced:
        mode = f"under {label.profile}, which is in mode {label.mode}"
        asked = f" (declared: {declared})" if declared != "unconfined" else ""
        yield f"runs {mode if label.profile else 'without an AppArmor profile'}{asked}"
    elif declared == "unconfined":
        yield Note(f"declared unconfined, but runs under {label.profile}")
    elif own and label.profile == DEFAULT_PROFILE:
        yield f"runs under {DEFAULT_PROFILE}, but declares the profile {declared}"
    elif own:
        yield Note(f"own profile: {label.profile}, enforced (default {DEFAULT_PROFILE})")


def _declared_profile(container: Container) -> str:
    options = container.security_options("apparmor")
    if options:
        return options[-1]
    return "unconfined" if container.privileged else DEFAULT_PROFILE


def _loaded_profiles(snapshot: Snapshot) -> JSONObject:
    return fields.table(fields.table(snapshot.fact("lsm"), "apparmor", "lsm"), "profiles", "lsm")


@check("container-selinux")
@needs_engine
def selinux(snapshot: Snapshot) -> Verdict:
    """Check that every container has a confined SELinux type if the host or the engine uses SELinux."""
    host = snapshot.fact_or("lsm", {}).get("selinux") or {}
    if "selinux" not in snapshot.security_options and not host.get("enabled"):
        return not_applicable("SELinux is not enabled on this host")
    expected = "every container is confined by an enforced SELinux type"
    permissive = host.get("mode") == "permissive"

    def judge(container: Container) -> Iterator[str]:
        label = container.fact("label") if container.running else container.inspect.get("ProcessLabel")
        parts = str(label or "").split(":")
        selinux_type = parts[2] if len(parts) > 2 else ""
        if not selinux_type:
            yield "has no SELinux label"
        elif selinux_type in UNCONFINED_TYPES:
            yield f"is labelled {selinux_type}, which is not confined"
        elif permissive:
            yield f"is labelled {selinux_type}, but SELinux is permissive and enforces nothing"

    engine = "uses" if "selinux" in snapshot.security_options else "does not use"
    return every_container(
        snapshot,
        judge,
        expected=expected,
        evidence=(f"SELinux mode: {host.get('mode') or 'unknown'}", f"the engine {engine} SELinux labels"),
    )


@check("container-seccomp-enabled")
@needs_engine
def seccomp(snapshot: Snapshot) -> Verdict:
    """Check that every container runs under a seccomp filter."""
    if "seccomp" not in snapshot.security_options and not snapshot.fact("lsm").get("seccomp"):
        return not_applicable("the kernel has no seccomp")
    return every_container(snapshot, _seccomp, expected="every container has a seccomp filter")


def _seccomp(container: Container) -> Iterator[str]:
    reason = _declares_no_filter(container)
    if not container.running:
        if reason:
            yield f"is set to run without a seccomp filter: {reason}"
    elif container.fact("seccomp") != 2:  # 2 is SECCOMP_MODE_FILTER in /proc/PID/status
        yield f"runs without a seccomp filter: {reason or 'nothing in its configuration says why'}"
    elif reason:
        yield Note(f"has a seccomp filter, although its configuration disables it: {reason}")
    if reason:
        return
    if has_own_profile(container):
        yield _own_filter(_compared(container))
    elif container.profile is not None:
        calls = seccomp_profiles.opened_calls(container.profile, SOURCE, _bounding(container))
        if seccomp_profiles.filters_nothing(calls):
            yield f"has a seccomp filter that filters nothing: {seccomp_profiles.sentence(calls)}"
        elif not requests_default(container) and (calls or _compared(container).kind is FilterKind.WIDER):
            opened = _opened(_compared(container)) or calls
            yield (
                f"has the daemon's own seccomp profile, which permits {listed(opened, _NAMED)}: "
                "the engine's default would refuse that"
            )
        elif calls:
            yield Note(f"has the daemon's own seccomp profile: {seccomp_profiles.sentence(calls)}")


def _compared(container: Container) -> Filter:
    return compare_running(container) if container.running else compare_declared(container)


def _opened(found: Filter) -> list[str]:
    return [*found.opens, *(f"{name} with any arguments" for name in found.unlimited)]


def _bounding(container: Container) -> int:
    return bounding_mask(container) if container.running else 0


def _own_filter(found: Filter) -> str:
    """Return a remark on a container's own seccomp profile, compared with the engine's default."""
    default = f", default {found.default_calls}" if found.default_calls else ""
    match found.kind:
        case FilterKind.NONE:  # of a process other than the first
            return "has its own seccomp profile, but a process without a seccomp filter"
        case FilterKind.WIDE:
            return f"has a seccomp filter that filters nothing: {seccomp_profiles.sentence(found.opens)}"
        case FilterKind.WIDER:
            return (
                f"has a seccomp profile of its own that permits {listed(_opened(found), _NAMED)}: "
                "the engine's default would refuse that"
            )
        case FilterKind.DEFAULT:
            return Note("own profile: it permits the same calls as the engine's default")
        case FilterKind.UNKNOWN:
            return Note("own profile: which calls it permits could not be read")
        case _ if found.calls is None:
            return Note("own profile: it permits no call that the engine's default refuses")
        case _ if not default:
            default = "; no container on this host has the default profile to compare with"
    return Note(f"own profile: {count(found.calls, 'call')}{default}")


def _declares_no_filter(container: Container) -> str:
    """Return why the engine would apply no filter; in the order of the engine's own tests."""
    if container.privileged and not _honours_own_profile(container):
        return "it is privileged"
    profiles = container.security_options("seccomp")
    if profiles:
        return "seccomp=unconfined" if profiles[-1] == "unconfined" else ""
    for option in container.snapshot.info.get("SecurityOptions") or ():
        if {"name=seccomp", "profile=unconfined"} <= set(str(option).split(",")):
            return "the daemon's default profile is unconfined"
    if "seccomp" not in container.snapshot.security_options:
        return "the engine was built or started without seccomp"
    return ""


def _honours_own_profile(container: Container) -> bool:
    """Return whether a privileged container gets the seccomp profile that it names: in engines from 27 on."""
    version = str(container.snapshot.fact_or("docker.version", {}).get("Version") or "")
    return has_own_profile(container) and version_tuple(version) >= (27,)


@container_check("container-no-new-privileges", expected="every container has no_new_privs set")
def _no_new_privileges(container: Container) -> Iterator[str]:
    options = container.security_options("no-new-privileges")
    if not container.running:
        if not (_grants(options[-1]) if options else _daemon_default(container.snapshot)):
            yield "is not set to run with no_new_privs"
    elif container.fact("no_new_privs") != 1:
        declared = ", although it is declared" if options and _grants(options[-1]) else ""
        yield f"runs without no_new_privs{declared}"
    elif options and _grants(options[-1]):
        without = [each for each in processes(container) if each.get("no_new_privs") != 1]
        if without:
            number = count(len(without), "process", "processes")
            yield f"has {number} without no_new_privs, although it is declared"


def _grants(option: str) -> bool:
    """Return whether an option ``no-new-privileges[=VALUE]`` sets the flag: VALUE can be false."""
    return option == "" or go_bool(option)


def _daemon_default(snapshot: Snapshot) -> bool:
    """Return the daemon's default of no-new-privileges for containers without the option."""
    return bool(Settings(snapshot).boolean("no-new-privileges").value)
