"""Render the document of the role docker_group: only approved accounts are in the engine's group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract import NONE
from .hostview import HostView

_NAME = "docker_group_members"
_FILES = {"/etc/group": "0644", "/etc/gshadow": "0640"}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document from the role's variables; without ``members``, from the host's policy."""
    host, members = HostView(snapshot), variables["members"]
    approved = members if members is not None else host.policy.get("docker_group_members")
    reason = _unfit(host) or _list_error(approved)
    if reason or approved is None:
        return [{"name": "docker_group", "refused": reason}]
    group = host.socket_group or "docker"
    known = host.data("groups")
    name = next((name for name, entry in known.items() if group in (name, str(entry.get("gid")))), "")
    if not name or known[name].get("gid") == 0:
        note = f"no user reaches the engine through a group: {group} " + (
            "is root's" if name else "does not exist"
        )
        return [{"name": _NAME, "notes": [note]}]
    return [
        {
            "name": _NAME,
            "impact": NONE,
            # Users who can write these can take any group.
            "resources": [
                {"kind": "attributes", "path": path, "owner": "root", "at_most": mode, "remove_acl": True}
                for path, mode in _FILES.items()
            ],
            "activations": [
                {"name": "group-members", "when": [], "group": name, "members": list(approved)},
            ],
        }
    ]


def _unfit(host: HostView) -> str:
    """Return why the role cannot be applied to this host; empty if it can."""
    reason = host.unread("engine", "daemon.config", "groups")
    if reason:
        return reason
    if host.state("units") == "failed":
        error = host.entry("units").get("error")
        return f"units could not be read, so the owner of the socket is unknown: {error}"
    return "the engine is rootless: its socket belongs to one user" if host.rootless else ""


def _list_error(approved: Any) -> str:
    """Return why a value is not a list of account names; empty if it is."""
    if approved is None:
        return (
            "the members of the engine's group are not declared: set docker_group_members in hardener_policy"
            " ([] for no member), or the role's docker_group_members"
        )
    if not isinstance(approved, list | tuple) or not all(isinstance(user, str) for user in approved):
        return f"docker_group_members must be a list of user names, not {str(approved)[:60]!r}"
    return ""
