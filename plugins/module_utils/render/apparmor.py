"""From a snapshot to the document that has AppArmor on, and around every container that asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

GRUB_FILE = "/etc/default/grub.d/50-hardener-apparmor.cfg"

_NAME = "apparmor_enabled"
_PROFILES = "/etc/apparmor.d"
_DEFAULT = "docker-default"
_UNIT = "apparmor.service"
_EXCLUSIVE = ("selinux", "smack")  # the kernel runs one of these and AppArmor
_NAMED = 10


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document by the role's variables; none where they want none."""
    if not variables["enabled"]:
        return []
    host = _Host(snapshot)
    reason = host.unfit()
    if reason:
        return [{"name": _NAME, "refused": reason}]
    return [_confining(host) if host.on else _booting(host)]


class _Host:
    """What the document depends on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._sources: Mapping[str, Any] = snapshot["sources"]
        self._lsm = self.data("lsm")
        self._apparmor: Mapping[str, Any] = self._lsm.get("apparmor") or {}
        self._boot: Mapping[str, Any] = self._lsm.get("boot") or {}
        self.on = bool(self._apparmor.get("enabled"))
        self.profiles: Mapping[str, str] = self._apparmor.get("profiles") or {}
        self.parameters: Mapping[str, str] = self._boot.get("parameters") or {}
        self.engine = self.data("engine")
        self.config = self.data("daemon.config")
        self.info = self.data("docker.info")

    def data(self, source: str) -> Any:
        """Data of a source; empty where there is none."""
        return self._sources.get(source, {}).get("data") or {}

    def unfit(self) -> str:
        """Why AppArmor cannot be had here; empty where it can."""
        for source in ("system", "lsm"):
            entry = self._sources.get(source, {})
            if entry.get("state") != "ok":
                return f"{source} could not be read: {entry.get('error') or 'not collected'}"
        system = self.data("system")
        if system.get("in_container") or system.get("in_init_userns") is False:
            return "this host is a container: AppArmor belongs to the host that runs it"
        if self.on:
            return ""
        # A kernel that has AppArmor off takes the next one it was built with; without a policy, that is none.
        selinux = self._lsm.get("selinux") or {}
        other = self.parameters.get("security", "apparmor")
        if selinux.get("mode") == "enforcing" or (selinux.get("mode") and selinux.get("policy")):
            return "SELinux is this host's security module: use the role selinux"
        if other != "apparmor":
            return (
                f"somebody has chosen another security module: security={other} on the kernel's command line"
            )
        if self._apparmor.get("in_kernel") is False:
            return "this kernel was built without AppArmor: boot one of the distribution's that has it"
        if not self._boot.get("grub"):
            return (
                f"AppArmor is off, and it is not GRUB that boots this host: add {' '.join(self.boot_words)}"
                " to the kernel's command line where your boot loader keeps it, and reboot"
            )
        return ""

    @property
    def boot_words(self) -> list[str]:
        """What has to stand on the kernel's command line."""
        if "lsm" in self.parameters:  # the kernel then looks at no other word
            modules = [name for name in self.parameters["lsm"].split(",") if name not in ("", *_EXCLUSIVE)]
            return ["apparmor=1", f"lsm={','.join([*modules, 'apparmor'])}"]
        return ["apparmor=1", "security=apparmor"]

    @property
    def has_engine(self) -> bool:
        """Whether there is an engine whose containers AppArmor can confine."""
        return bool(self.engine.get("installed")) and not self.engine.get("rootless")

    @property
    def engine_uses_it(self) -> bool:
        """Whether the engine found AppArmor when it started."""
        options = self.info.get("SecurityOptions") or ()
        return any("name=apparmor" in str(option).split(",") for option in options)

    def unconfined(self) -> Iterator[tuple[str, str]]:
        """Running containers without the profile they ask for: name and profile, by what /proc says."""
        for container in self.data("docker.containers") or ():
            inspect, proc = container["inspect"], container.get("proc") or {}
            label = str(proc.get("label") or "")
            wanted = _wanted(inspect)
            if proc and wanted and label.rpartition(" (")[0] != wanted:
                yield str(inspect.get("Name", "?")).lstrip("/"), wanted


def _wanted(inspect: Mapping[str, Any]) -> str:
    """The profile a container asks for; empty where it asks for none."""
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


def _confining(host: _Host) -> dict[str, Any]:
    """AppArmor is on: its profiles are loaded at boot, and the engine uses it."""
    notes = []
    if host.profiles.get(_DEFAULT) == "complain":
        notes.append(f"{_DEFAULT} only complains: unload it (apparmor_parser -R) and restart the engine")
    by_profile: dict[str, list[str]] = {}
    for name, profile in host.unconfined():
        by_profile.setdefault(profile, []).append(name)
    for profile, names in by_profile.items():
        loaded = "" if profile == _DEFAULT or profile in host.profiles else f"load {profile}, and "
        notes.append(
            f"{_listed(names)} run without the profile {profile} that they ask for:"
            f" {loaded}restart them (a profile that comes back, as after aa-remove-unknown, takes nobody in)"
        )
    lacking = host.has_engine and bool(host.info)
    lacking = lacking and not (host.engine_uses_it and _DEFAULT in host.profiles)
    return {
        **_document([], [_unit(active=True), *([_docker(host)] if host.has_engine else [])]),
        "impact": "daemon-restart" if lacking else "none",
        "notes": notes,
    }


def _booting(host: _Host) -> dict[str, Any]:
    """AppArmor is off: the next boot has it on."""
    words = " ".join(host.boot_words)
    # GRUB puts the one before the other, and not both in every entry; of a word given twice, the last counts.
    text = (
        "# Written by hardener: AppArmor is on from the next boot.\n"
        f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {words}"\n'
        f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {words}"\n'
    )
    boot = {"name": "boot-parameters", "when": [GRUB_FILE], "parameters": host.boot_words}
    file = {"kind": "file", "path": GRUB_FILE, "content": text}
    return {
        **_document([file], [_unit(active=False), boot]),
        "impact": "reboot",
        "costs": "AppArmor is off in the running kernel, and a reboot puts it on",
    }


def _document(
    resources: Sequence[Mapping[str, Any]], activations: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    own = {"kind": "attributes", "path": _PROFILES, "owner": "root", "group": "root", "at_most": "0755"}
    return {"name": _NAME, "resources": [own, *resources], "activations": list(activations)}


def _unit(*, active: bool) -> dict[str, Any]:
    """The unit that loads the profiles; it starts only where AppArmor is on."""
    wish = {"enabled": True, "active": True} if active else {"enabled": True}
    return {"name": "units", "when": [], "units": {_UNIT: wish}}


def _docker(host: _Host) -> dict[str, Any]:
    """The engine looks for AppArmor, and loads its profile, when it starts."""
    return {
        "name": "docker",
        "when": [],
        "config": str(host.config.get("path") or "/etc/docker/daemon.json"),
        "dockerd": (host.engine.get("binaries") or {}).get("dockerd") or "",
        "argv": host.config.get("argv") or [],
        "flags": host.config.get("flags") or {},
        "socket": host.engine.get("socket") or "/run/docker.sock",
        "unit": "docker.service",
        "expect": {"security": ["apparmor"], "profiles": [_DEFAULT]},
    }


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
