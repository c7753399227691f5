"""Read the daemon's group, accounts with root's id, and the variables of content trust of all logins."""

from __future__ import annotations

import grp
import os
import pwd
import re

from ..host.read import read_text, texts

_SUBORDINATE = re.compile(r"\s*([^:\s]+):(\d{1,10}):(\d{1,10})\s*")
_ORDINARY = 65536  # subordinate ids begin above
_MOST = 1000

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable
    from typing import Any

    from ..host.redact import Redactor


def groups(names: Iterable[str | int]) -> dict[str, Any]:
    """Return the source `groups`: members of groups, given by name or id, from the name service."""
    found: dict[str, Any] = {}
    users = pwd.getpwall()
    for name in names:
        try:
            group = grp.getgrgid(name) if isinstance(name, int) else grp.getgrnam(name)
        except KeyError:
            continue
        found[group.gr_name] = {
            "gid": group.gr_gid,
            "members": sorted(set(group.gr_mem)),
            "primary": sorted(user.pw_name for user in users if user.pw_gid == group.gr_gid),
        }
    return found


def users(remap: str) -> dict[str, Any]:
    """Return the source `users`.

    Args:
        remap: the daemon's ``userns-remap``; empty where it is not set.
    """
    user, _separator, group = remap.partition(":")
    if user in ("", "default"):
        user = group = "dockremap"
    return {
        "root": [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == 0],
        "remap": {
            "user": user,
            "subuid": subordinate_ids("/etc/subuid", user),
            "subgid": subordinate_ids("/etc/subgid", group or user),
        },
        "subordinate": {
            name: [list(entry) for entry in subordinate(f"/etc/{name}")][:_MOST]
            for name in ("subuid", "subgid")
        },
        "high": {
            "uids": sorted({entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid >= _ORDINARY})[:_MOST],
            "gids": sorted({entry.gr_gid for entry in grp.getgrall() if entry.gr_gid >= _ORDINARY})[:_MOST],
        },
    }


def subordinate_ids(path: str, owner: str) -> list[list[int]]:
    """Return the subordinate id ranges of an owner, by name or number: ``[[start, count], …]``."""
    names = {owner, *(str(entry.pw_uid) for entry in pwd.getpwall() if entry.pw_name == owner)}
    return [[start, count] for name, start, count in subordinate(path) if name in names]


def subordinate(path: str) -> list[tuple[str, int, int]]:
    """Parse a file of subordinate ids: owner (or number), first id, count."""
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        return []
    found = filter(None, map(_SUBORDINATE.fullmatch, lines))
    return [(match[1], int(match[2]), int(match[3])) for match in found]


_FILES = (
    "/etc/environment",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/root/.profile",
    "/root/.bash_profile",
    "/root/.bashrc",
)
_FOLDER = "/etc/profile.d"
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(DOCKER_CONTENT_TRUST(?:_SERVER)?)=("[^"\n]*"|'[^'\n]*'|[^\s;#]*)""",
    re.MULTILINE,
)


def content_trust(redactor: Redactor) -> list[dict[str, str]]:
    """Return the source `environment`."""
    scripts = []
    if os.path.isdir(_FOLDER):
        scripts = [f"{_FOLDER}/{name}" for name in sorted(os.listdir(_FOLDER)) if name.endswith(".sh")]
    found = []
    for path, text in texts([*_FILES, *scripts]):
        found += [{"file": path, "name": name, "value": value} for name, value in assignments(text)]
    return [{**entry, "value": redactor.text(entry["value"], entry["file"])} for entry in found]


def assignments(text: str) -> list[tuple[str, str]]:
    """Return the content trust variables that a shell profile sets, in order."""
    return [(name, value.strip("\"'")) for name, value in _ASSIGNMENT.findall(text)]
