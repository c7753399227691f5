"""Render the document of the role apparmor: AppArmor is on, and confines every container that asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..contract import DAEMON_RESTART, NONE, REBOOT
from ..subjects.owners import APPARMOR_SERVICE
from .hostview import HostView, listed, name_of

GRUB_FILE = "/etc/default/grub.d/50-hardener-apparmor.cfg"

_NAME = "apparmor_enabled"
_PROFILES = "/etc/apparmor.d"
_DEFAULT = "docker-default"
_EXCLUSIVE = ("selinux", "smack")  # the kernel runs one of these or AppArmor, not both
# The engine detects AppArmor, and loads its profile, when it starts.
_ENGINE = {"security": ["apparmor"], "profiles": [_DEFAULT]}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document from the role's variables; none unless the role is enabled."""
    if not variables["enabled"]:
        return []
    host = HostView(snapshot)
    apparmor = _apparmor(host)
    reason = _unfit(host, apparmor)
    if reason:
        return [{"name": _NAME, "refused": reason}]
    return [_confining(host, apparmor) if apparmor.on else _booting(apparmor)]


class _AppArmor(NamedTuple):
    """The state of the host's AppArmor."""

    on: bool
    in_kernel: Any
    profiles: Mapping[str, str]
    parameters: Mapping[str, str]  # of the kernel's command line
    by_grub: bool

    @property
    def boot_words(self) -> list[str]:
        """Return the parameters that the kernel's command line must have."""
        if "lsm" in self.parameters:  # the kernel then ignores all other words
            modules = [name for name in self.parameters["lsm"].split(",") if name not in ("", *_EXCLUSIVE)]
            return ["apparmor=1", f"lsm={','.join([*modules, 'apparmor'])}"]
        return ["apparmor=1", "security=apparmor"]


def _apparmor(host: HostView) -> _AppArmor:
    lsm = host.data("lsm")
    found, boot = lsm.get("apparmor") or {}, lsm.get("boot") or {}
    return _AppArmor(
        on=bool(found.get("enabled")),
        in_kernel=found.get("in_kernel"),
        profiles=found.get("profiles") or {},
        parameters=boot.get("parameters") or {},
        by_grub=bool(boot.get("grub")),
    )


def _unfit(host: HostView, apparmor: _AppArmor) -> str:
    """Return why AppArmor is impossible on this host; empty if it is possible."""
    reason = host.unread("system", "lsm")
    if reason:
        return reason
    if host.in_container:
        return "this host is a container: AppArmor belongs to the host that runs it"
    if apparmor.on:
        return ""
    # With AppArmor off, the kernel uses the next built-in module; without a policy, that one enforces
    # nothing.
    selinux = host.data("lsm").get("selinux") or {}
    other = apparmor.parameters.get("security", "apparmor")
    if selinux.get("mode") == "enforcing" or (selinux.get("mode") and selinux.get("policy")):
        return "SELinux is this host's security module: use the role selinux"
    if other != "apparmor":
        return f"another security module is chosen by security={other} on the kernel's command line"
    if apparmor.in_kernel is False:
        return "this kernel was built without AppArmor: boot a kernel of the distribution that has it"
    if not apparmor.by_grub:
        return (
            f"AppArmor is off, and this host does not boot by GRUB: add {' '.join(apparmor.boot_words)}"
            " to the kernel's command line where your boot loader keeps it, and reboot"
        )
    return ""


def _unconfined(host: HostView) -> Iterator[tuple[str, str]]:
    """Yield running containers without the AppArmor profile that they ask for, each with its profile."""
    for inspect, proc in host.running:
        label = str(proc.get("label") or "")
        wanted = _declared_profile(inspect)
        if wanted and label.rpartition(" (")[0] != wanted:
            yield name_of(inspect), wanted


def _declared_profile(inspect: Mapping[str, Any]) -> str:
    """Return the profile that a container asks for; empty if it asks for none."""
    host_config = inspect.get("HostConfig") or {}
    given = [
        option.partition("apparmor")[2][1:]
        for option in map(str, host_config.get("SecurityOpt") or ())
        if option.startswith(("apparmor=", "apparmor:"))
    ]
    profile = str(inspect.get("AppArmorProfile") or (given or [""])[-1])
    if profile == "unconfined" or (not profile and host_config.get("Privileged")):
        return ""
    return profile or _DEFAULT


def _confining(host: HostView, apparmor: _AppArmor) -> dict[str, Any]:
    """Return the document if AppArmor is on: profiles are loaded at boot, and the engine uses it."""
    notes = []
    if apparmor.profiles.get(_DEFAULT) == "complain":
        notes.append(f"{_DEFAULT} is in complain mode: unload it (apparmor_parser -R) and restart the engine")
    by_profile: dict[str, list[str]] = {}
    for name, profile in _unconfined(host):
        by_profile.setdefault(profile, []).append(name)
    for profile, names in by_profile.items():
        loaded = "" if profile == _DEFAULT or profile in apparmor.profiles else f"load {profile}, and "
        notes.append(
            f"{listed(names)} run without the profile {profile} that they declare: {loaded}"
            "restart them (loading a profile again, as after aa-remove-unknown, confines no running process)"
        )
    lacking = host.serves and bool(host.info)
    lacking = lacking and not (host.secures("apparmor") and _DEFAULT in apparmor.profiles)
    return {
        **_document(
            [], [_unit(active=True), *([host.activation([], expect=_ENGINE)] if host.serves else [])]
        ),
        "impact": DAEMON_RESTART if lacking else NONE,
        "notes": notes,
    }


def _booting(apparmor: _AppArmor) -> dict[str, Any]:
    """Return the document if AppArmor is off: the next boot switches it on."""
    words = " ".join(apparmor.boot_words)
    # GRUB puts one variable before the other, and not both in every entry; of a repeated word, the last one
    # counts.
    text = (
        "# Written by hardener: AppArmor is on from the next boot.\n"
        f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {words}"\n'
        f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {words}"\n'
    )
    boot = {"name": "boot-parameters", "when": [GRUB_FILE], "parameters": apparmor.boot_words}
    file = {"kind": "file", "path": GRUB_FILE, "content": text}
    return {
        **_document([file], [_unit(active=False), boot]),
        "impact": REBOOT,
        "costs": "AppArmor is off in the running kernel, and a reboot enables it",
    }


def _document(
    resources: Sequence[Mapping[str, Any]], activations: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    own = {"kind": "attributes", "path": _PROFILES, "owner": "root", "group": "root", "at_most": "0755"}
    return {"name": _NAME, "resources": [own, *resources], "activations": list(activations)}


def _unit(*, active: bool) -> dict[str, Any]:
    """Return the activation that enables the unit that loads profiles, and starts it if ``active``."""
    wish = {"enabled": True, "active": True} if active else {"enabled": True}
    return {"name": "units", "when": [], "units": {APPARMOR_SERVICE: wish}}
