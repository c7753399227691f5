"""Render the documents of the role activity, which install the resident collector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..host.layout import PROGRAMS
from ..subjects.owners import ACTIVITY_SERVICE
from .hostview import HostView, listed, name_of
from .program import FILES, program, start

_START = f"{PROGRAMS}/hardener_activity.py"
_UNIT = f"/etc/systemd/system/{ACTIVITY_SERVICE}"
_PROFILE = "docker-default-audited"
_PROFILE_FILE = f"/etc/apparmor.d/{_PROFILE}"
_SOCKET = re.compile(r"/[\w./+@-]+")  # characters that need no quoting in a unit's command line
_LONGEST = 24 * 365  # hours
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"collector": ("learn_hours", "socket")}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables."""
    host = HostView(snapshot)
    wanted = (
        _collector(host, variables["learn_hours"], variables["socket"])
        if variables["collector"]
        else _no_collector()
    )
    profile = _profile(host) if variables["audited_profile"] else _no_profile(host)
    return [{"name": "activity_collector", **wanted}, {"name": "activity_audited_profile", **profile}]


def _collector(host: HostView, learn_hours: int, socket: str) -> dict[str, Any]:
    """Return the document with the collector's sources and its unit, enabled and running."""
    reason = _unfit(host)
    if reason:
        return {"refused": reason}
    socket = socket or host.socket
    if not _SOCKET.fullmatch(socket):
        return {"refused": f"activity_socket: {socket!r} is not a path that a unit can name"}
    if not 0 <= learn_hours <= _LONGEST:
        return {"refused": f"activity_learn_hours is {learn_hours}: it must be from 0 to {_LONGEST}"}
    unit = (FILES / ACTIVITY_SERVICE).read_text(encoding="utf-8")
    unit = unit.replace("@socket@", socket).replace("@learn_hours@", str(learn_hours))
    return {
        "resources": [
            {"kind": "file", "path": _START, "content": start(PROGRAMS, "activity.resident", "listens")},
            *program(PROGRAMS, "activity"),
            {"kind": "file", "path": _UNIT, "content": unit},
        ],
        "activations": [
            {"name": "systemd-reload", "when": [_UNIT]},
            {"name": "units", "when": [], "units": {ACTIVITY_SERVICE: {"enabled": True, "active": True}}},
        ],
    }


def _no_collector() -> dict[str, Any]:
    """Return the document that removes the collector's files; the collector exits within two minutes."""
    return {
        "resources": [
            {"kind": "absent", "path": path}
            for path in (_UNIT, _START, *(file["path"] for file in program(PROGRAMS, "activity")))
        ],
        "activations": [{"name": "systemd-reload", "when": [_UNIT]}],
    }


def _profile(host: HostView) -> dict[str, Any]:
    reason = _unfit(host)
    if not reason and not (host.data("lsm").get("apparmor") or {}).get("enabled"):
        reason = "AppArmor is off on this host: the role apparmor enables it"
    if reason:
        return {"refused": reason}
    return {
        "resources": [
            {
                "kind": "file",
                "path": _PROFILE_FILE,
                "content": (FILES / _PROFILE).read_text(encoding="utf-8"),
            }
        ],
        "activations": [
            {"name": "apparmor-load", "when": [_PROFILE_FILE], "profiles": {_PROFILE_FILE: _PROFILE}}
        ],
        "notes": [
            f"containers run under {_PROFILE} if they are created with --security-opt apparmor={_PROFILE}"
        ],
    }


def _no_profile(host: HostView) -> dict[str, Any]:
    """Return the document that removes the AppArmor profile, which stays loaded until the next boot."""
    containers = host.entry("docker.containers")
    loaded = host.data("lsm").get("apparmor") or {}
    failed = containers.get("state") == "failed"
    reason = str(containers.get("error")) if failed else host.unread_containers()
    if reason and _PROFILE in (loaded.get("profiles") or {}):
        return {"refused": f"{_PROFILE} is loaded, and it is unknown which containers need it: {reason}"}
    names = sorted(_under_it(host))
    if names:
        return {
            "refused": f"{listed(names)} would not start after the next boot, since"
            f" they were created with apparmor={_PROFILE}: create them again without it first"
        }
    return {"resources": [{"kind": "absent", "path": _PROFILE_FILE}]}


def _under_it(host: HostView) -> Iterator[str]:
    """Yield the containers, stopped ones too, that cannot start if the AppArmor profile is not loaded."""
    for inspect in host.containers:
        options = (inspect.get("HostConfig") or {}).get("SecurityOpt") or ()
        asked = {f"apparmor={_PROFILE}", f"apparmor:{_PROFILE}"} & {str(option) for option in options}
        if asked or inspect.get("AppArmorProfile") == _PROFILE:
            yield name_of(inspect)


def _unfit(host: HostView) -> str:
    """Return why no collector can run on this host; empty if one can."""
    reason = host.unread("system")
    if not reason and host.in_container:
        return "this host is a container: the kernel reports its denials to the host that runs it"
    return reason
