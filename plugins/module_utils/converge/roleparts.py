"""Map activations, folders and packages to roles if document names do not tell the role."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Iterable, Mapping, Sequence

from ..subjects import owners
from . import system
from .activations.interface import Begun
from .errors import Refused

REMAP = "userns_remap"
_ROLE = re.compile(r"[a-z][a-z0-9_]*")
_LOCALNET = "/proc/sys/net/ipv4/conf/*/route_localnet"


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


def role_of(kind: str, subject: str) -> str:
    """Return the role of a subject of an activation; empty if several roles share it."""
    return owners.UNITS.get(subject, "") if kind == "units" else owners.ACTIVATIONS.get(kind, "")


def begun_of_role(kind: str, begun: Begun, role: str) -> Begun | None:
    """Return the part of a run's activation that belongs to a role; None if no part does."""
    if not role or kind in owners.SHARED:
        return begun
    if kind == "units":
        memory = {unit: was for unit, was in begun.memory.items() if role_of(kind, unit) == role}
        return begun._replace(memory=memory) if memory else None
    return begun if role_of(kind, "") == role else None


def written(role: str) -> Sequence[str]:
    """Return the subfolders of hardener's folder to which the programs of a role write."""
    return owners.WRITTEN.get(role, ())


def outside(role: str) -> list[str]:
    """Return the existing paths outside of that folder to which the programs of a role, or of all, write."""
    paths = (path for name in owners.OUTSIDE if role in ("", name) for path in owners.OUTSIDE[name])
    return [path for path in paths if os.path.lexists(path)]


def packages(documents: Iterable[str]) -> list[str]:
    """Return notes on installed packages that roles with these documents may have installed."""
    names = set(documents)
    return [
        f"{package} stays installed, even if hardener installed it: remove it if nothing else needs it"
        for role, found_by, package in owners.INSTALLED
        if any(belongs(name, role) for name in names)
        and (system.installed(found_by) or os.path.isdir(found_by))
    ]


def in_kernel(documents: Iterable[str]) -> list[str]:
    """Return notes on what changes by these documents leave in the kernel until the next boot."""
    names = set(documents)
    found = []
    if "docker_daemon_userland_proxy" in names:
        found += [
            f"net.ipv4.conf.{os.path.basename(os.path.dirname(path))}.route_localnet stays 1 until the next"
            " boot: the engine has set it without the userland proxy"
            for path in sorted(glob.glob(_LOCALNET))
            if system.read(path) == "1"
        ]
    if any(belongs(name, "firewall") for name in names):
        found.append("tables of iptables that hardener's rules alone needed stay until the next boot, empty")
    return found


def remap_record(files: Mapping[str, Any]) -> str:
    """Return the file in which hardener has switched user remapping on; empty if there is none."""
    for path, entry in files.items():
        for document, records in entry.get("documents", {}).items():
            if belongs(document, REMAP) and any(record["path"] == ["userns-remap"] for record in records):
                return path
    return ""
