"""From a snapshot and the role's variables to the document that `converge` makes true."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_FIRST_ID = 65536  # below are the accounts of the host itself
_KEY = "userns-remap"
_DEFAULT_USER = "dockremap"  # whom the engine means by "default"
_LAST_ID = 600_100_000  # SUB_UID_MAX of shadow
_ENOUGH = 65536
_FILES = {"subuid": "uids", "subgid": "gids"}
_SHOWN = 10

Range = tuple[int, int]  # first id, how many


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document by the role's variables; none where they decide nothing."""
    if not variables["enabled"]:
        return []
    user, migrate, exempt = variables["user"], variables["migrate"], variables["exempt"]
    host = _Host(snapshot)
    reason = host.unfit()
    if not reason and not _ACCOUNT.fullmatch(user):
        reason = f"userns_remap_user: {user!r} is no name of an account"
    if reason:
        return [_refused(reason)]
    if host.flags.get(_KEY):
        return []  # on the command line, and so out of the file
    if host.remaps:
        return [_kept(host)]
    reason = (
        host.unknown() or host.impossible() or (host.obstacles(exempt) if migrate and host.holds() else "")
    )
    if reason:
        return [_refused(reason)]
    owner = _DEFAULT_USER if user == "default" else user
    wide = max(variables["ids"], _ENOUGH)
    found: dict[str, Range] = {}
    lines: list[dict[str, Any]] = []
    for name, what in _FILES.items():
        known = host.ranges(name, owner)
        taken = host.taken(name, owner)
        found[what] = known[0] if known else _free(taken, variables["first_id"], wide)
        problem = _unusable(known or [found[what]], taken, f"/etc/{name}", owner)
        if problem:
            return [_refused(problem)]
        if not known:
            line = ":".join(map(str, (owner, *found[what])))
            lines.append({"kind": "lines", "path": f"/etc/{name}", "lines": [line]})
    return [_document(host, user, found, lines, migrate=migrate, exempt=exempt)]


def _refused(reason: str) -> dict[str, Any]:
    return {"name": "userns_remap_enabled", "refused": reason}


def _kept(host: _Host) -> dict[str, Any]:
    """What is on stays on, by whomever it was switched on."""
    return {
        "name": "userns_remap_enabled",
        "impact": "daemon-restart",
        "resources": [
            {
                "kind": "json",
                "path": host.config_path,
                "keys": {},
                "defaults": {_KEY: host.declared.get(_KEY) or "default"},
            }
        ],
        "activations": [{**host.docker, "expect": {"security": ["userns"]}}],
    }


def _document(
    host: _Host,
    user: str,
    ranges: Mapping[str, Range],
    lines: list[dict[str, Any]],
    *,
    migrate: bool,
    exempt: Sequence[str],
) -> dict[str, Any]:
    resource = {"kind": "json", "path": host.config_path, "keys": {_KEY: user}}
    docker = {**host.docker, "remapped": user, "expect": {"security": ["userns"]}}
    document: dict[str, Any] = {
        "name": "userns_remap_enabled",
        "impact": "daemon-restart",
        "resources": [*lines, resource],
        "activations": [docker],
        "notes": [],
    }
    held = host.holds()
    if not held:
        return document
    listed = ", ".join(held)
    document["impact"] = "containers-recreate" if migrate else "data-hidden"
    document["costs"] = (
        f"containers stop while {listed} move; those that run are made again"
        if migrate
        else f"the engine would no longer see its {listed}: userns_remap_migrate takes them along"
    )
    document["notes"] = host.notes(exempt) if migrate else []
    move = {
        "name": "userns-migrate",
        "when": [host.config_path],
        "config": host.config_path,
        "dockerd": docker["dockerd"],
        "socket": docker["socket"],
        "unit": docker["unit"],
        "containerd": str(host.engine.get("containerd_socket") or "/run/containerd/containerd.sock"),
        "uids": list(ranges["uids"]),
        "gids": list(ranges["gids"]),
        "exempt": list(exempt),
        "leave": not migrate,
    }
    document["activations"] = [move, {**docker, "restarted_by": "userns-migrate"}]
    return document


class _Host:
    """What the document depends on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._sources: Mapping[str, Any] = snapshot["sources"]
        self.engine = self._data("engine")
        self.config = self._data("daemon.config")
        self.info = self._data("docker.info")
        self.flags: Mapping[str, Sequence[str]] = self.config.get("flags") or {}
        self.declared: Mapping[str, Any] = self.config.get("parsed") or {}
        self.config_path = str(self.config.get("path") or "/etc/docker/daemon.json")

    def _data(self, source: str) -> Any:
        return self._sources.get(source, {}).get("data") or {}

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Inspect data of every container."""
        return [container["inspect"] for container in self._data("docker.containers") or ()]

    @property
    def docker(self) -> dict[str, Any]:
        """The engine's activation."""
        return {
            "name": "docker",
            "when": [self.config_path],
            "config": self.config_path,
            "dockerd": (self.engine.get("binaries") or {}).get("dockerd") or "",
            "argv": self.config.get("argv") or [],
            "flags": self.flags,
            "socket": self.engine.get("socket") or "/run/docker.sock",
            "unit": "docker.service",
        }

    def unfit(self) -> str:
        """Why the role can do nothing here; empty where it can."""
        for source in ("engine", "daemon.config"):
            entry = self._sources.get(source, {})
            if entry.get("state") == "absent":
                return "there is no Docker engine on this host"
            if entry.get("state") != "ok":
                return f"{source} could not be read: {entry.get('error') or 'not collected'}"
        if not self.engine.get("installed"):
            return "there is no Docker engine on this host"
        if self.engine.get("rootless"):
            return "the engine is rootless: its containers are in a user namespace already"
        return ""

    def unknown(self) -> str:
        """Why nobody can tell which ids are free here; empty where they are known."""
        entry = self._sources.get("users", {})
        return f"users could not be read: {entry.get('error')}" if entry.get("state") == "failed" else ""

    @property
    def remaps(self) -> bool:
        """Whether the engine remaps users; where it does not answer, whether it is to."""
        if not self.info:
            return bool(self.declared.get(_KEY))
        return any("name=userns" in str(option) for option in self.info.get("SecurityOptions") or ())

    def impossible(self) -> str:
        """Why this engine cannot remap users; empty where it can."""
        if not self.info and self.engine.get("ever_ran") is not False:
            return "the engine does not answer, so that nobody knows what it holds: start it first"
        if self.info.get("Swarm", {}).get("LocalNodeState", "inactive") not in ("", "inactive"):
            return "this host is part of a swarm, whose state would stay behind: let it leave first"
        features = self.declared.get("features") or {}
        status = {str(row[0]): str(row[1]) for row in self.info.get("DriverStatus") or () if len(row) == 2}
        if features.get("containerd-snapshotter") or "containerd" in status.get("driver-type", ""):
            return (
                "the engine keeps images in containerd's store, which excludes user namespaces: switch the"
                " feature containerd-snapshotter off, and load the images again"
            )
        return ""

    def holds(self) -> list[str]:
        """What is in the old data root."""
        found = {"containers": self.info.get("Containers") or 0, "images": self.info.get("Images") or 0}
        found["volumes"] = len(self._data("docker.volumes") or ())
        found["networks"] = sum(
            1
            for network in self._data("docker.networks") or ()
            if network.get("Name") not in ("bridge", "host", "none")
        )
        return [f"{count} {what}" for what, count in found.items() if count]

    def obstacles(self, exempt: Sequence[str]) -> str:
        """What cannot move, all of it in one line; empty where everything can."""
        found = []
        for container in self.containers:
            host, name = container.get("HostConfig") or {}, _name(container)
            claims = _claims(host)
            if claims and host.get("UsernsMode") != "host" and not _matches(name, exempt):
                found.append(f"{name} ({', '.join(claims)})")
        needing = (
            f"{_listed(found)} cannot be in a user namespace of their own: name them in userns_remap_exempt,"
            " and they are made again in the host's"
        )
        ending = [
            _name(container)
            for container in self.containers
            if (container.get("HostConfig") or {}).get("AutoRemove")
            and (container.get("State") or {}).get("Running")
        ]
        removed = f"{_listed(ending)} would be removed when they stop (--rm): end them first"
        foreign = [
            str(volume["Name"])
            for volume in self._data("docker.volumes") or ()
            if volume.get("Driver") != "local"
        ]
        other = f"the volumes {_listed(foreign)} are not of the driver local, and cannot be moved"
        reasons = ((found, needing), (ending, removed), (foreign, other))
        return "; ".join(text for names, text in reasons if names)

    def notes(self, exempt: Sequence[str]) -> list[str]:
        """What a person should see to."""
        found = []
        for container in self.containers:
            host = container.get("HostConfig") or {}
            if host.get("UsernsMode") == "host":
                continue
            if _claims(host) and _matches(_name(container), exempt):
                found.append(f"{_name(container)} is made again in the host's user namespace")
                continue
            binds = sorted(
                str(mount.get("Source"))
                for mount in container.get("Mounts") or ()
                if mount.get("Type") == "bind"
            )
            if binds:
                found.append(
                    f"{_name(container)} mounts {_listed(binds)} of the host, whose owners stay as they are"
                )
        return found

    # --- subordinate ids ------------------------------------------------------------------------------------

    def ranges(self, file: str, owner: str) -> list[Range]:
        """Ranges that an account has."""
        users = self._data("users")
        known = [(start, count) for name, start, count in self._subordinate(file) if name == owner]
        remap = users.get("remap") or {}
        if not known and remap.get("user") == owner:  # by the number of the account
            known = [(start, count) for start, count in remap.get(file) or ()]
        return known

    def taken(self, file: str, owner: str) -> list[tuple[int, int, str]]:
        """First and last id of what is somebody else's, and whose."""
        mine = set(self.ranges(file, owner))
        found = [
            (start, start + count - 1, name)
            for name, start, count in self._subordinate(file)
            if name != owner and (start, count) not in mine
        ]
        high = (self._data("users").get("high") or {}).get(_FILES[file]) or ()
        return found + [(number, number, f"id {number} of the host") for number in high]

    def _subordinate(self, file: str) -> list[tuple[str, int, int]]:
        entries = (self._data("users").get("subordinate") or {}).get(file) or ()
        return [(str(name), int(start), int(count)) for name, start, count in entries]


def _unusable(known: Sequence[Range], taken: Sequence[tuple[int, int, str]], file: str, owner: str) -> str:
    """Why the ranges of an account cannot be used; empty where they can."""
    if len(known) > 1:
        return f"{owner} has {len(known)} ranges in {file}: leave one"
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
            return f"the range of {owner} in {file} ({start}:{count}) meets that of {whose}: give it another"
    return ""


def _free(taken: Sequence[tuple[int, int, str]], first: int, count: int) -> Range:
    """The first gap that is wide enough."""
    start = first
    for low, high, _ in sorted(taken):
        if low < start + count and start <= high:
            start = high + 1
    return start, count


def _claims(host: Mapping[str, Any]) -> list[str]:
    """Why a container cannot be in a user namespace of its own."""
    found = ["privileged"] if host.get("Privileged") else []
    found += ["network of the host"] if host.get("NetworkMode") == "host" else []
    return found + (["processes of the host"] if host.get("PidMode") == "host" else [])


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, str(pattern)) for pattern in patterns)


def _name(container: Mapping[str, Any]) -> str:
    return str(container.get("Name", "?")).lstrip("/")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
