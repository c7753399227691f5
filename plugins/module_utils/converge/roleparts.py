"""What of a host belongs to which role, where its documents' names do not say so."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, Sequence

from . import system
from .activations.interface import Begun
from .errors import Refused

REMAP = "userns_remap"
_ROLE = re.compile(r"[a-z][a-z0-9_]*")
# Activations that one role alone has.
_ACTIVATIONS = {
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
# What the programs of a role write, below hardener's folder.
_WRITTEN = {"activity": ("activity",), "content_trust": ("trust",), "vulnerability_scan": ("scan",)}
# What a role installs where it is missing: a program, and its package.
_INSTALLED = {
    "apparmor": ("apparmor_parser", "apparmor"),
    "audit_rules": ("auditctl", "auditd"),
    "content_trust": ("openssl", "openssl"),
    "docker_engine": ("dockerd", "the Docker engine"),
    "security_updates": ("unattended-upgrade", "unattended-upgrades"),
}


def checked(role: str) -> str:
    """A role's name, or the empty one of all.

    Raises:
        Refused: it is none.
    """
    if role and not _ROLE.fullmatch(role):
        raise Refused(f"{role!r} is no name of a role")
    return role


def belongs(document: str, role: str) -> bool:
    """Whether a document is of a role."""
    return not role or document == role or document.startswith(f"{role}_")


def activation_of(kind: str, begun: Begun, role: str) -> Begun | None:
    """As much of what an activation has begun as is of a role; None where nothing is."""
    if not role or kind in ("docker", "systemd-reload"):  # which look at the files that change
        return begun
    if kind == "units":
        memory = {unit: was for unit, was in begun.memory.items() if _UNITS.get(unit) == role}
        return begun._replace(memory=memory) if memory else None
    return begun if _ACTIVATIONS.get(kind) == role else None


def written(role: str) -> Sequence[str]:
    """Folders below hardener's own to which the programs of a role write."""
    return _WRITTEN.get(role, ())


def packages(documents: Iterable[str]) -> list[str]:
    """What roles with these documents install where it is missing, and what is installed here."""
    names = set(documents)
    return [
        f"{package} stays installed, where hardener has installed it too: remove it if nothing else needs it"
        for role, (program, package) in _INSTALLED.items()
        if any(belongs(name, role) for name in names) and system.installed(program)
    ]


def remap_record(files: Mapping[str, Any]) -> str:
    """The file in which hardener has switched user namespaces on; empty where it has not."""
    for path, entry in files.items():
        for document, records in entry.get("documents", {}).items():
            if belongs(document, REMAP) and any(record["path"] == ["userns-remap"] for record in records):
                return path
    return ""
