"""Render the documents of the role kernel: kernel settings and modules for this host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..contract import CONNECTIVITY, NONE
from ..snapshot import sysctls
from .hostview import HostView, name_of

SETTINGS_FILE = "/etc/sysctl.d/60-hardener.conf"
NETWORK_FILE = "/etc/sysctl.d/61-hardener-network.conf"
KEXEC_FILE = "/etc/sysctl.d/60-hardener-kexec.conf"
MODULES_FILE = "/etc/modprobe.d/hardener.conf"

_KEY = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_*:@-]+)+")
_VALUE = re.compile(r"[!-~]+( [!-~]+)*")
_BRIDGE = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
_FORWARDING = re.compile(r"net\.ipv4\.(ip_forward|conf\.[^.]+\.forwarding)")
_OFF = re.compile(r"0+|0x0+")
_NAMESPACES = ("user.max_user_namespaces", "kernel.unprivileged_userns_clone")

Entry = Mapping[str, Any]
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"settings_enabled": ("settings",), "modules_enabled": ("modules_kept",)}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables and its data, ``module_baseline``."""
    host = HostView(snapshot)
    reason = _unfit(host)
    if reason:
        return [{"name": "kernel", "refused": reason}]
    found = []
    if variables["settings_enabled"]:
        found += _settings(host, variables["settings"])
    if variables["modules_enabled"]:
        found.append(_modules(host, variables["modules_kept"], variables["module_baseline"]))
    if variables["kexec_load_disabled"]:
        found.append(_kexec(host))
    return found


def _unfit(host: HostView) -> str:
    """Return why the role cannot be applied to this host; empty if it can."""
    reason = host.unread("system", "sysctl")
    if reason:
        return reason
    for source in ("engine", "daemon.config"):
        if host.state(source) == "failed":
            error = host.entry(source).get("error")
            return f"{source} could not be read, so it is unknown which settings containers need: {error}"
    if host.in_container:
        return "this host is a container: its kernel is set up on the host that runs it"
    return ""


def _forwards_for_containers(host: HostView) -> bool:
    """Return whether an engine is present that needs IP forwarding, which it switches on by default."""
    return host.serves and host.setting("ip-forward") is not False


def _needs_user_namespaces(host: HostView) -> bool:
    """Return whether containers run in user namespaces."""
    if "userns-remap" in host.declared:
        return True
    return host.rootless or host.secures("userns")


def _publishing(host: HostView, protocol: str) -> list[str]:
    """Return the names of containers with a published port of a protocol."""
    return sorted(
        name_of(inspect)
        for inspect in host.containers
        if any(
            str(port).endswith(f"/{protocol}")
            for port in (inspect.get("HostConfig") or {}).get("PortBindings") or {}
        )
    )


def _settings(host: HostView, overrides: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a document with the baseline and the site's settings, and one with the site's network settings.

    The baseline is known not to break connections. A site's network settings may break them, including the
    one in use.
    """
    name = "kernel_settings_enabled"
    own = {_dotted(str(key)): _text(value) for key, value in overrides.items()}
    reason = "; ".join(_invalid_settings(host, own))
    if reason:
        return [{"name": name, "refused": reason}]
    wanted: dict[str, str] = {}
    lines = ["# Written by hardener. IP forwarding is not set here: the engine enables it, and refuses"]
    lines += ["# forwarding between other interfaces only if it was disabled before.", ""]
    for setting in sysctls.baseline():
        key, value = setting.key, setting.value
        running = host.data("sysctl").get(key, "")
        if key in own or running is None or running in setting.stricter:
            continue  # set by the site below; unknown to the kernel; or already at a better value
        wanted[key] = value
        lines += [f"# {setting.reason}", f"{_optional(key)}{key} = {value}"]
    needed: dict[str, str] = {}
    if _forwards_for_containers(host):
        needed["net.ipv4.ip_forward"] = "1"
        for key in _BRIDGE:
            if host.data("sysctl").get(key) is not None:
                wanted[key] = "1"
                lines += [
                    "# Otherwise packets between containers of one network bypass the engine's rules.",
                    f"-{key} = 1",
                ]
    known = {
        key: value for key, value in own.items() if value and host.data("sysctl").get(key, "") is not None
    }
    network = {key: value for key, value in known.items() if key.startswith("net.")}
    others = {key: value for key, value in known.items() if key not in network}
    wanted |= others
    lines += _site_lines(others)
    resources: list[dict[str, Any]] = [
        {"kind": "file", "path": SETTINGS_FILE, "content": "\n".join([*lines, ""])}
    ]
    if not network:
        resources.append({"kind": "absent", "path": NETWORK_FILE})
    document = {
        "name": name,
        "impact": NONE,
        "resources": resources,
        "activations": [{"name": "sysctl", "when": [SETTINGS_FILE], "values": wanted, "needed": needed}],
        "notes": [
            f"{key} is not set: this kernel has no such setting"
            for key, value in own.items()
            if value and key not in known
        ],
    }
    return [document, *([_network(network)] if network else [])]


def _network(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the document with the site's network settings."""
    lines = ["# Written by hardener.", *_site_lines(settings), ""]
    return {
        "name": "kernel_settings",
        "impact": CONNECTIVITY,
        "costs": f"{', '.join(settings)} may end connections",
        "resources": [{"kind": "file", "path": NETWORK_FILE, "content": "\n".join(lines)}],
        "activations": [{"name": "sysctl", "when": [NETWORK_FILE], "values": dict(settings)}],
    }


def _site_lines(settings: Mapping[str, str]) -> Iterator[str]:
    for key, value in settings.items():
        yield from ("# Set by a variable of this site.", f"{_optional(key)}{key} = {value}")


def _invalid_settings(host: HostView, settings: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the site's settings."""
    for key, value in settings.items():
        if not _KEY.fullmatch(key) or ".." in key or "//" in key:
            yield f"kernel_settings: {key!r} is not the name of a kernel setting"
        elif value and not _VALUE.fullmatch(value):
            yield f"kernel_settings: {key} cannot be {value!r}"
        elif (
            (_FORWARDING.fullmatch(key) or key in _BRIDGE)
            and _OFF.fullmatch(value)
            and _forwards_for_containers(host)
        ):
            yield f"kernel_settings: {key}=0 would disconnect the containers; remove it"
        elif key in _NAMESPACES and _OFF.fullmatch(value) and _needs_user_namespaces(host):
            yield f"kernel_settings: {key}=0 would keep the engine from starting containers; remove it"
        elif key == "kernel.modules_disabled" and value and not _OFF.fullmatch(value):
            yield f"kernel_settings: {key}={value} would keep the engine from loading modules; remove it"


def _optional(key: str) -> str:
    """Return the prefix ``-`` for a pattern, so that versions of sysctl without patterns ignore it."""
    return "-" if "*" in key else ""


def _dotted(key: str) -> str:
    """Return a key with dots between its parts, as in the kernel's documentation."""
    separators = re.findall(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if separators[:1] == ["/"] else key


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else " ".join(str(value).split())


def _modules(host: HostView, kept: Sequence[str], baseline: Sequence[Entry]) -> dict[str, Any]:
    """Return the document that blocks modules; modules in use are left alone, with a note."""
    name = "kernel_modules_enabled"
    unknown = sorted(set(kept) - {entry["name"] for entry in baseline})
    if unknown:
        reason = f"kernel_modules_kept: {', '.join(unknown)} would not be blocked anyway; remove it"
        return {"name": name, "refused": reason}
    notes = []
    lines = [
        "# Written by hardener: blocks modules that any user can have loaded and that no Docker host needs."
    ]
    mounted = {str(mount.get("fstype")) for mount in host.data("mounts") or ()}
    unread = host.unread_containers()
    for entry in baseline:
        module = entry["name"]
        if module in kept:
            continue
        publishing = _publishing(host, module) if module == "sctp" else []
        if host.data("modules").get(module) or module in mounted:
            notes.append(f"{module} can still be loaded: it is in use, or built in")
        elif publishing:
            notes.append(f"{module} can still be loaded: ports of {', '.join(publishing)} use it")
        elif module == "sctp" and unread:
            notes.append(f"{module} can still be loaded, since a container may need it: {unread}")
        else:
            lines += ["", f"# {entry['reason']}", f"install {module} /bin/false", f"blacklist {module}"]
    return {
        "name": name,
        "impact": NONE,
        "resources": [{"kind": "file", "path": MODULES_FILE, "content": "\n".join([*lines, ""])}],
        "notes": notes,
    }


def _kexec(host: HostView) -> dict[str, Any]:
    """Return the document that disables kexec."""
    name, key = "kernel_kexec_load_disabled", "kernel.kexec_load_disabled"
    if host.data("sysctl").get(key) is None:
        return {"name": name, "refused": "this kernel has no kexec"}
    text = f"# Written by hardener. Only a reboot undoes it.\n{key} = 1\n"
    return {
        "name": name,
        "impact": NONE,
        "costs": "only a reboot undoes it",
        "resources": [{"kind": "file", "path": KEXEC_FILE, "content": text}],
        "activations": [{"name": "sysctl", "when": [KEXEC_FILE], "values": {key: "1"}}],
    }
