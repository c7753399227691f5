"""Map activations, folders and packages to roles if document names do not tell the role."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, Sequence

from . import system
from .activations.interface import Begun
from .errors import Refused

REMAP = "userns_remap"
_ROLE = re.compile(r"[a-z][a-z0-9_]*")
# Activations that only one role has.
_ACTIVATIONS = {
    "account": "userns_remap",
    "apparmor-load": "activity",
    "audit-rules-load": "audit_rules",
    "boot-parameters": "apparmor",
    "firewall": "firewall",
    "group-members": "docker_group",
    "modules-load": "docker_daemon",
    "selinux-enforce": "selinux",
    "sysctl": "kernel",
}
_UNITS = {
    "hardener-activity.service": "activity",
    "apparmor.service": "apparmor",
    "hardener-verify-images.timer": "content_trust",
    "dnf-automatic-install.timer": "security_updates",
    "dnf-automatic.timer": "security_updates",
    "hardener-scan.timer": "vulnerability_scan",
}
# Files that the programs of a role write, below hardener's folder.
_WRITTEN = {"activity": ("activity",), "content_trust": ("trust",), "vulnerability_scan": ("scan",)}
# What a role installs if it is missing: a program, and its package.
_INSTALLED = {
    "apparmor": ("apparmor_parser", "apparmor"),
    "audit_rules": ("auditctl", "auditd"),
    "content_trust": ("openssl", "openssl"),
    "docker_engine": ("dockerd", "the Docker engine"),
    "security_updates": ("unattended-upgrade", "unattended-upgrades"),
}


def checked(role: str) -> str:
    """Validate the name of a role; an empty name stands for all roles.

    Raises:
        Refused: the text is not the name of a role.
    """
    if role and not _ROLE.fullmatch(role):
        raise Refused(f"{role!r} is not the name of a role")
    return role


def belongs(document: str, role: str) -> bool:
    """Return whether a document belongs to a role."""
    return not role or document == role or document.startswith(f"{role}_")


def begun_of_role(kind: str, begun: Begun, role: str) -> Begun | None:
    """Return the part of a run's activation that belongs to a role; None if no part does."""
    if not role or kind in ("docker", "systemd-reload"):  # these look at the files that change
        return begun
    if kind == "units":
        memory = {unit: was for unit, was in begun.memory.items() if _UNITS.get(unit) == role}
        return begun._replace(memory=memory) if memory else None
    return begun if _ACTIVATIONS.get(kind) == role else None


def written(role: str) -> Sequence[str]:
    """Return the subfolders of hardener's folder to which the programs of a role write."""
    return _WRITTEN.get(role, ())


def packages(documents: Iterable[str]) -> list[str]:
    """Return notes on installed packages that roles with these documents may have installed."""
    names = set(documents)
    return [
        f"{package} stays installed, even if hardener installed it: remove it if nothing else needs it"
        for role, (program, package) in _INSTALLED.items()
        if any(belongs(name, role) for name in names) and system.installed(program)
    ]


def remap_record(files: Mapping[str, Any]) -> str:
    """Return the file in which hardener has switched user remapping on; empty if there is none."""
    for path, entry in files.items():
        for document, records in entry.get("documents", {}).items():
            if belongs(document, REMAP) and any(record["path"] == ["userns-remap"] for record in records):
                return path
    return ""
