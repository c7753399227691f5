"""Render the document of the role userns_remap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..contract import CONTAINERS_RECREATE, DAEMON_RESTART, DATA_HIDDEN
from .hostview import HostView, listed, name_of

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_FIRST_ID = 65536  # lower ids belong to accounts of the host
_KEY = "userns-remap"
_DEFAULT_USER = "dockremap"  # the user that "default" stands for
_LAST_ID = 600_100_000  # SUB_UID_MAX of shadow
_ENOUGH = 65536
_FILES = {"subuid": "uids", "subgid": "gids"}

Range = tuple[int, int]  # first id, how many
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"enabled": ("exempt", "first_id", "ids", "migrate", "user")}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document from the role's variables; none if disabled, or if a flag of the engine decides."""
    if not variables["enabled"]:
        return []
    user, migrate, exempt = variables["user"], variables["migrate"], variables["exempt"]
    host = HostView(snapshot)
    reason = host.unserved()
    if not reason and host.rootless:
        reason = "the engine is rootless: its containers are in a user namespace already"
    if not reason and not _ACCOUNT.fullmatch(user):
        reason = f"userns_remap_user: {user!r} is not the name of an account"
    if reason:
        return [_refused(reason)]
    if host.flag(_KEY):
        return []  # on the command line, so it must not be in the file
    if _remaps(host):
        return [_keep_remapping(host)]
    # Without the list of users, free ids are unknown.
    users = host.entry("users")
    reason = f"users could not be read: {users.get('error')}" if users.get("state") == "failed" else ""
    reason = reason or _impossible(host) or (_obstacles(host, exempt) if migrate and host.holds() else "")
    if reason:
        return [_refused(reason)]
    owner = _DEFAULT_USER if user == "default" else user
    wide = max(variables["ids"], _ENOUGH)
    found: dict[str, Range] = {}
    lines: list[dict[str, Any]] = []
    for name, what in _FILES.items():
        known = _ranges(host, name, owner)
        taken = _used_ranges(host, name, owner)
        found[what] = known[0] if known else _free(taken, variables["first_id"], wide)
        problem = _range_error(known or [found[what]], taken, f"/etc/{name}", owner)
        if problem:
            return [_refused(problem)]
        if not known:
            line = ":".join(map(str, (owner, *found[what])))
            lines.append({"kind": "lines", "path": f"/etc/{name}", "lines": [line]})
    return [_document(host, user, found, lines, migrate=migrate, exempt=exempt)]


def _refused(reason: str) -> dict[str, Any]:
    return {"name": "userns_remap_enabled", "refused": reason}


def _keep_remapping(host: HostView) -> dict[str, Any]:
    """Return the document that keeps remapping on, however it was switched on."""
    return {
        "name": "userns_remap_enabled",
        "impact": DAEMON_RESTART,
        "resources": [
            {
                "kind": "json",
                "path": host.config_path,
                "keys": {},
                "defaults": {_KEY: host.setting(_KEY) or "default"},
            }
        ],
        "activations": [host.activation([host.config_path], expect={"security": ["userns"]})],
    }


def _document(
    host: HostView,
    user: str,
    ranges: Mapping[str, Range],
    lines: list[dict[str, Any]],
    *,
    migrate: bool,
    exempt: Sequence[str],
) -> dict[str, Any]:
    resource = {"kind": "json", "path": host.config_path, "keys": {_KEY: user}}
    docker = host.activation([host.config_path], remapped=user, expect={"security": ["userns"]})
    account = [] if user == "default" else [{"name": "account", "user": user}]
    document: dict[str, Any] = {
        "name": "userns_remap_enabled",
        "impact": DAEMON_RESTART,
        "resources": [*lines, resource],
        "activations": [*account, docker],
        "notes": [],
    }
    held = host.holds()
    if not held:
        return document
    listed = ", ".join(held)
    document["impact"] = CONTAINERS_RECREATE if migrate else DATA_HIDDEN
    document["costs"] = (
        f"containers stop while {listed} move; running containers are created again"
        if migrate
        else f"the engine would no longer see its {listed}: userns_remap_migrate moves them"
    )
    document["notes"] = _notes(host, exempt) if migrate else []
    move = {
        "name": "userns-migrate",
        "when": [host.config_path],
        "uids": list(ranges["uids"]),
        "gids": list(ranges["gids"]),
        "exempt": list(exempt),
        "leave": not migrate,
    }
    document["activations"] = [*account, move, {**docker, "restarted_by": "userns-migrate"}]
    return document


def _remaps(host: HostView) -> bool:
    """Return whether the engine remaps users; if it does not answer, whether it is configured to."""
    return host.secures("userns") if host.info else bool(host.setting(_KEY))


def _impossible(host: HostView) -> str:
    """Return why this engine cannot remap users; empty if it can."""
    if not host.info and host.engine.get("ever_ran") is not False:
        return "the engine does not answer, so its images and containers are unknown: start it first"
    if host.swarm:
        return "this host is part of a swarm, whose state would be lost: leave the swarm first"
    features = host.in_file("features") or {}
    status = {str(row[0]): str(row[1]) for row in host.info.get("DriverStatus") or () if len(row) == 2}
    if features.get("containerd-snapshotter") or "containerd" in status.get("driver-type", ""):
        return (
            "the engine keeps images in containerd's store, which excludes user namespaces. To leave it:"
            " save the images (docker save), remove all containers (with live-restore, running ones would go"
            " on unmanaged), set containerd-snapshotter to false under features in"
            f" {host.config_path}, restart docker, load the images, and create the containers again;"
            " volumes and networks stay"
        )
    return ""


def _obstacles(host: HostView, exempt: Sequence[str]) -> str:
    """Return the obstacles to a migration, in one line; empty if everything can be migrated."""
    found = []
    for container in host.containers:
        config, name = container.get("HostConfig") or {}, name_of(container)
        claims = _claims(config)
        if claims and config.get("UsernsMode") != "host" and not _matches(name, exempt):
            found.append(f"{name} ({', '.join(claims)})")
    needing = (
        f"{listed(found)} cannot be in a user namespace of their own: name them in userns_remap_exempt,"
        " and they are recreated in the host's user namespace"
    )
    ending = [
        name_of(container)
        for container in host.containers
        if (container.get("HostConfig") or {}).get("AutoRemove")
        and (container.get("State") or {}).get("Running")
    ]
    removed = f"{listed(ending)} would be removed when they stop (--rm): stop them first"
    foreign = [
        str(volume["Name"]) for volume in host.data("docker.volumes") or () if volume.get("Driver") != "local"
    ]
    other = f"the volumes {listed(foreign)} are not of the driver local, and cannot be moved"
    reasons = ((found, needing), (ending, removed), (foreign, other))
    known = [text for names, text in reasons if names]
    unread = host.unread_containers()
    unknown = f"it is unknown whether some containers can run in a user namespace: {unread}"
    return "; ".join([*known, *([unknown] if unread else [])])


def _notes(host: HostView, exempt: Sequence[str]) -> list[str]:
    """Return notes about what the user must do."""
    found = []
    for container in host.containers:
        config = container.get("HostConfig") or {}
        if config.get("UsernsMode") == "host":
            continue
        if _claims(config) and _matches(name_of(container), exempt):
            found.append(f"{name_of(container)} is recreated in the host's user namespace")
            continue
        binds = sorted(
            str(mount.get("Source")) for mount in container.get("Mounts") or () if mount.get("Type") == "bind"
        )
        if binds:
            found.append(
                f"{name_of(container)} mounts {listed(binds)} of the host, whose owners stay as they are"
            )
    return found


def _ranges(host: HostView, file: str, owner: str) -> list[Range]:
    """Return the subordinate ranges of an account."""
    users = host.data("users")
    known = [(start, count) for name, start, count in _subordinate(host, file) if name == owner]
    remap = users.get("remap") or {}
    if not known and remap.get("user") == owner:  # listed by the account's number
        known = [(span[0], span[1]) for span in remap.get(file) or ()]
    return known


def _used_ranges(host: HostView, file: str, owner: str) -> list[tuple[int, int, str]]:
    """Return first and last id of other accounts' ranges, and of each high id in use, with their owners."""
    mine = set(_ranges(host, file, owner))
    found = [
        (start, start + count - 1, name)
        for name, start, count in _subordinate(host, file)
        if name != owner and (start, count) not in mine
    ]
    high = (host.data("users").get("high") or {}).get(_FILES[file]) or ()
    return found + [(number, number, f"id {number} of the host") for number in high]


def _subordinate(host: HostView, file: str) -> list[tuple[str, int, int]]:
    entries = (host.data("users").get("subordinate") or {}).get(file) or ()
    return [(str(name), int(start), int(count)) for name, start, count in entries]


def _range_error(known: Sequence[Range], taken: Sequence[tuple[int, int, str]], file: str, owner: str) -> str:
    """Return why the ranges of an account cannot be used; empty if they can."""
    if len(known) > 1:
        return f"{owner} has {len(known)} ranges in {file}: keep only one"
    start, count = known[0]
    if start < _FIRST_ID:
        return (
            f"the range of {owner} in {file} ({start}:{count}) begins among the accounts of the host: give it"
            f" {_FIRST_ID} or more (userns_remap_first_id)"
        )
    if start + count - 1 > _LAST_ID:
        return f"no {count} ids are left for {owner} in {file}: begin at another userns_remap_first_id"
    if count < _ENOUGH:
        return f"{owner} has {count} ids in {file}; images need {_ENOUGH}"
    for first, last, whose in taken:
        if first < start + count and start <= last:
            return f"the range of {owner} in {file} overlaps that of {whose}: choose another range"
    return ""


def _free(taken: Sequence[tuple[int, int, str]], first: int, count: int) -> Range:
    """Return the first free range of ids that is wide enough."""
    start = first
    for low, high, _owner in sorted(taken):
        if low < start + count and start <= high:
            start = high + 1
    return start, count


def _claims(host: Mapping[str, Any]) -> list[str]:
    """Return why a container cannot have its own user namespace."""
    found = ["privileged"] if host.get("Privileged") else []
    found += ["network of the host"] if host.get("NetworkMode") == "host" else []
    return found + (["processes of the host"] if host.get("PidMode") == "host" else [])


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, str(pattern)) for pattern in patterns)
