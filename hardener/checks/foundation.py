"""Check that the host can run Docker, now and after the next boot.

Hardening baselines for servers remove what containers need: forwarding, modules, user namespaces. Such a
change often takes effect at the next boot, or when its files are loaded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.lib import fields
from hardener.checks.lib.paths import image_roots, mount_of
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import count, failed, listed, needs_engine, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

SOURCE = "next_boot"
# Modules without which no container starts. The kernel requests the others by an alias.
_ALWAYS = ("overlay", "veth", "bridge")
# Modules that are loaded by name, which a line `blacklist` does not prevent.
_BY_NAME = frozenset({"overlay", "br_netfilter"})
_FORWARDING = "net.ipv4.ip_forward"
_ITS_OTHER_NAME = "net.ipv4.conf.all.forwarding"
_BRIDGE_FILTER = "net.bridge.bridge-nf-call-iptables"
_OFF = frozenset({"0", "off"})


@check("host-carries-docker")
@needs_engine
def carries_docker(snapshot: Snapshot) -> Verdict:
    """Check that no setting prevents containers from starting, now or after the next boot."""
    expected = "no setting of the host prevents containers from starting, now or after the next boot"
    now = [*_settings_now(snapshot), *_modules_now(snapshot), *_mounted_now(snapshot)]
    later = [*_settings_later(snapshot), *_modules_later(snapshot), *_mounted_later(snapshot)]
    known = {each.name for each in now}
    offenders = [*now, *(each for each in later if each.name not in known)]
    if offenders:
        shown = listed([f"{each.name} {each.detail}" for each in offenders], glue="; ")
        return failed(expected, shown, offenders=offenders, evidence=_evidence(snapshot))
    snapshot.fact(SOURCE)  # the current state may end with the next boot
    modules = _modules(snapshot)
    unknown = [name for name in modules if _module(snapshot, name).get("kind") is None]
    if len(unknown) == len(modules):
        raise FactUnavailable(SOURCE, "the kernel's modules could not be read")
    seen = count(len(modules) - len(unknown), "module")
    actual = f"{seen}, and the settings and mounts that were read, allow containers to start"
    if unknown:
        actual += f"; whether the kernel has {', '.join(unknown)} could not be read"
    return passed(expected, actual, evidence=(), checked=len(modules) - len(unknown))


def _evidence(snapshot: Snapshot) -> list[str]:
    sysctl = snapshot.fact("sysctl")
    return [f"{key}: {sysctl[key]}" for key in (_FORWARDING, _BRIDGE_FILTER) if sysctl.get(key) is not None]


# --- kernel settings ----------------------------------------------------------------------------------------


def _settings_now(snapshot: Snapshot) -> Iterator[Offender]:
    sysctl = snapshot.fact("sysctl")
    for key, why in _needed(snapshot).items():
        if str(sysctl.get(key)).strip() == "0":
            yield Offender("setting", key, f"is 0: {why}")
    if str(sysctl.get("kernel.modules_disabled")).strip() == "1":
        missing = [name for name in _ALWAYS if not _is_loaded(snapshot, name)]
        if missing:
            detail = f"is 1 while {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not loaded"
            yield Offender("setting", "kernel.modules_disabled", detail)


def _settings_later(snapshot: Snapshot) -> Iterator[Offender]:
    declared = fields.table(_next_boot(snapshot), "sysctl", SOURCE)
    needed = _needed(snapshot)
    if _FORWARDING in needed:
        needed[_ITS_OTHER_NAME] = needed[_FORWARDING]
    for key, why in {**needed, "kernel.modules_disabled": ""}.items():
        entry = fields.table(declared, key, SOURCE)
        value, file = (fields.text(entry, name, SOURCE) for name in ("value", "file"))
        if key == "kernel.modules_disabled":
            if value not in ("", "0"):
                detail = f"is set to {value} by {file}: after the next boot the engine can load no module"
                yield Offender("setting", key, detail)
        elif value == "0":
            yield Offender(
                "setting",
                key,
                f"is set to 0 by {file} at the next boot, or when sysctl loads the file: {why}",
            )


def _needed(snapshot: Snapshot) -> dict[str, str]:
    """Return the kernel settings that must not be 0 on this host, with their purpose."""
    settings = Settings(snapshot)
    rootless = runs_rootless(snapshot)
    needed = {}
    if not rootless:
        needed[_FORWARDING] = "containers lose their network"
        if not (settings.boolean("icc").value and settings.boolean("userland-proxy").value):
            needed[_BRIDGE_FILTER] = "icc=false and userland-proxy=false need this setting"
    if rootless or _remaps(snapshot, settings):
        needed["user.max_user_namespaces"] = "containers of this engine live in user namespaces"
    if rootless:
        needed["kernel.unprivileged_userns_clone"] = "a rootless engine needs user namespaces"
    return needed


def _remaps(snapshot: Snapshot, settings: Settings) -> bool:
    if snapshot.fact("engine").get("reachable"):
        return "userns" in snapshot.security_options
    return bool(settings.text("userns-remap").value)


# --- modules ------------------------------------------------------------------------------------------------


def _modules_now(snapshot: Snapshot) -> Iterator[Offender]:
    for name in _ALWAYS:
        if fields.text(_module(snapshot, name), "kind", SOURCE) == "missing":
            yield Offender("module", name, "is neither built into this kernel nor available as a module")


def _modules_later(snapshot: Snapshot) -> Iterator[Offender]:
    for name in _modules(snapshot):
        module = _module(snapshot, name)
        kept_out = fields.table(module, "kept_out", SOURCE)
        by, file = (fields.text(kept_out, key, SOURCE) for key in ("by", "file"))
        # A built-in module cannot be blocked, and an unknown one may not be a module.
        if fields.text(module, "kind", SOURCE) != "module" or not by:
            continue
        if by == "install" or name not in _BY_NAME:
            when = "from the next boot on" if module.get("loaded") else "already now"
            yield Offender("module", name, f"is blocked by {file}, {when}")


def _modules(snapshot: Snapshot) -> JSONObject:
    return fields.table(_next_boot(snapshot), "modules", SOURCE)


def _module(snapshot: Snapshot, name: str) -> JSONObject:
    return fields.table(_modules(snapshot), name, SOURCE)


def _is_loaded(snapshot: Snapshot, name: str) -> bool:
    module = _module(snapshot, name)
    if module.get("kind") is None:  # unknown, or an older snapshot: the other source has some
        return snapshot.fact("modules").get(name, True) is True
    return module.get("loaded") is True


def _next_boot(snapshot: Snapshot) -> JSONObject:
    found: JSONObject = snapshot.fact(SOURCE) if snapshot.has(SOURCE) else {}
    return found


# --- mounts -------------------------------------------------------------------------------------------------


def _mounted_now(snapshot: Snapshot) -> Iterator[Offender]:
    mounts = snapshot.fact("mounts")
    for root in image_roots(snapshot):
        mount = mount_of(mounts, root)
        if mount and "noexec" in str(mount.get("options")).split(","):
            yield _noexec(root, str(mount["mount_point"]), "is mounted")
    for mount in mounts:
        if mount.get("mount_point") == "/proc" and mount.get("fstype") == "proc":
            yield from _hidden(snapshot, fields.texts(mount, "hides", "mounts"), "is mounted")


def _mounted_later(snapshot: Snapshot) -> Iterator[Offender]:
    rows = fields.rows(_next_boot(snapshot), "mounts", SOURCE)
    for root in image_roots(snapshot):
        mount = mount_of(rows, root)
        if mount and _last(fields.texts(mount, "options", SOURCE), ("noexec", "exec")) == "noexec":
            yield _noexec(root, str(mount["mount_point"]), "is mounted by /etc/fstab")
    for mount in rows:
        if mount.get("mount_point") == "/proc":
            options = fields.texts(mount, "options", SOURCE)
            yield from _hidden(snapshot, options, "is mounted by /etc/fstab")


def _last(options: Sequence[str], names: Sequence[str]) -> str:
    """Return the last of these mount options, which overrides the earlier ones; empty if none is set."""
    return next((each for each in reversed(options) if each in names), "")


def _noexec(root: str, point: str, how: str) -> Offender:
    detail = f"lies on {point}, which {how} noexec: programs in volumes and of plugins cannot start"
    return Offender("directory", root, detail)


def _hidden(snapshot: Snapshot, options: Sequence[str], how: str) -> Iterator[Offender]:
    """Check the option hidepid of /proc, which hides other users' processes from a rootless engine."""
    level = next((each.partition("=")[2] for each in reversed(options) if each.startswith("hidepid=")), "")
    if level and level not in _OFF and runs_rootless(snapshot):
        detail = f"{how} with hidepid={level}: a rootless engine cannot see what it needs"
        yield Offender("mount", "/proc", detail)
