"""Render the documents of the role selinux: SELinux enforces, and the engine labels its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..contract import CONNECTIVITY, CONTAINERS_RECREATE, DAEMON_RESTART, NONE, REBOOT
from .hostview import HostView, listed

CONFIG_FILE = "/etc/selinux/config"
RELABEL_FILE = "/.autorelabel"

_ENFORCING, _DOCKER = "selinux_enforcing", "selinux_docker"
_KEY = "selinux-enabled"


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables."""
    host = HostView(snapshot)
    selinux = _selinux(host)
    reason = _unfit(host, selinux)
    if reason:
        return [{"name": "selinux", "refused": reason}]
    found = [_enforcing(selinux)] if variables["enforcing"] else []
    return [*found, *_docker(host)] if selinux.on and variables["docker"] else found


class _SELinux(NamedTuple):
    """The state of the host's SELinux."""

    mode: Any
    on: bool
    config: Mapping[str, str]
    parameters: Mapping[str, str]  # of the kernel's command line


def _selinux(host: HostView) -> _SELinux:
    lsm = host.data("lsm")
    found = lsm.get("selinux") or {}
    mode = found.get("mode")
    return _SELinux(
        mode=mode,
        # With AppArmor off, the kernel uses SELinux even if no policy is installed.
        on=mode == "enforcing" or bool(mode and found.get("policy")),
        config=found.get("config") or {},
        parameters=(lsm.get("boot") or {}).get("parameters") or {},
    )


def _unfit(host: HostView, selinux: _SELinux) -> str:
    """Return why SELinux is impossible on this host; empty if it is possible."""
    reason = host.unread("system", "lsm")
    if reason:
        return reason
    if host.in_container:
        return "this host is a container: SELinux belongs to the host that runs it"
    if selinux.on:
        return ""
    if (host.data("lsm").get("apparmor") or {}).get("enabled"):
        return "AppArmor is this host's security module: use the role apparmor"
    if "debian" in f"{host.os.get('ID')} {host.os.get('ID_LIKE')}":
        return "SELinux is off: install selinux-basics, run selinux-activate, and reboot"
    if not selinux.config.get("SELINUXTYPE"):
        return f"SELinux is off, and no policy is installed ({CONFIG_FILE} names none): install one first"
    off = [f"{name}={value}" for name, value in selinux.parameters.items() if _keeps_off(name, value)]
    if off:
        return (
            f"SELinux is off by the kernel's command line ({' '.join(off)}): take it away there"
            " (grubby --update-kernel=ALL --remove-args=selinux), and reboot"
        )
    return ""


def _keeps_off(name: str, value: str) -> bool:
    """Return whether a kernel parameter prevents SELinux from starting."""
    if name == "selinux":
        return value == "0"
    return (name == "security" and value != "selinux") or (
        name == "lsm" and "selinux" not in value.split(",")
    )


def _enforcing(selinux: _SELinux) -> dict[str, Any]:
    """Return the document for enforcing mode; a disabled SELinux becomes permissive first."""
    # Also if no file changes: a document without a resource decides nothing.
    resources = [
        {"kind": "attributes", "path": CONFIG_FILE, "owner": "root", "group": "root", "at_most": "0644"}
    ]
    declared = selinux.config.get("SELINUX")
    if not selinux.on:
        if declared not in ("enforcing", "permissive"):
            resources.append(_file(CONFIG_FILE, _config(selinux.config, "permissive")))
        return {
            "name": _ENFORCING,
            "impact": REBOOT,
            "costs": "SELinux is off: the next boot relabels all files, and the next run of hardener after"
            " that sets SELinux to enforcing",
            "resources": [*resources, _file(RELABEL_FILE, "")],
            "notes": ["SELinux starts at the next boot; see ausearch -m avc for what it would deny"],
        }
    if declared != "enforcing":
        resources.append(_file(CONFIG_FILE, _config(selinux.config, "enforcing")))
    enforces, undone = selinux.mode == "enforcing", selinux.parameters.get("enforcing") == "0"
    return {
        "name": _ENFORCING,
        "impact": NONE if enforces else CONNECTIVITY,
        "costs": ""
        if enforces
        else "actions that the policy denies are only logged now, and will be refused",
        "resources": resources,
        "activations": [{"name": "selinux-enforce", "when": [CONFIG_FILE]}],
        "notes": ["enforcing=0 on the kernel's command line disables enforcing at the next boot"]
        if undone
        else [],
    }


def _config(config: Mapping[str, str], mode: str) -> str:
    """Return the file's content with the mode changed, and all other settings unchanged."""
    lines = {"SELINUX": mode, **{key: value for key, value in config.items() if key != "SELINUX"}}
    text = "\n".join(f"{key}={value}" for key, value in lines.items())
    return f"# Written by hardener; the previous content is in its backup.\n{text}\n"


def _file(path: str, content: str) -> dict[str, Any]:
    return {"kind": "file", "path": path, "content": content}


def _docker(host: HostView) -> list[dict[str, Any]]:
    """Return the document that makes the engine label containers, if there is one."""
    if not host.serves:
        return []
    if not host.config:
        return [{"name": _DOCKER, "refused": "daemon.config could not be read"}]
    flag, value = host.flag(_KEY), host.setting(_KEY)
    if flag and value is not True:
        reason = f"{flag}={str(value).lower()} is set on the engine's command line: take it out of its unit"
        return [{"name": _DOCKER, "refused": reason}]
    keys = {} if flag else {_KEY: True}
    document = {
        "name": _DOCKER,
        "impact": DAEMON_RESTART,
        "resources": [{"kind": "json", "path": host.config_path, "keys": keys}],
        "activations": [host.activation([host.config_path], expect={"security": ["selinux"]})],
    }
    if host.names and not host.secures("selinux"):
        # An unlabelled container continues; once recreated it gets a label, and loses access to its mounts.
        document |= {
            "impact": CONTAINERS_RECREATE,
            "costs": (
                "containers that are created or started later are denied every host folder without a label"
                f" for them (mount it with :z or :Z); containers of this host: {listed(host.names)}"
            ),
        }
    return [document]
