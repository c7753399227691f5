"""Render the document of the role audit_rules: audit rules for this host's paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..docker.api import DEFAULT_SOCKET
from ..docker.keys import default_of
from .hostview import HostView

_RULES = "/etc/audit/rules.d/50-hardener-docker.rules"
_LIMITS = "/etc/audit/rules.d/00-hardener-limits.rules"
_TMPFILES = "/etc/tmpfiles.d/hardener-containerd.conf"

_RUN_CONTAINERD = "/run/containerd"
_MODES = {_RUN_CONTAINERD: "0711", "/run/docker": "0700"}
_CHANGE, _CHANGE_AND_RUN = "wa", "wax"
_NARROW = ("armv6l", "armv7l", "i386", "i586", "i686")
_BINARIES = (
    "dockerd",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v1",
    "containerd-shim-runc-v2",
    "runc",
)
_REMAPPED = re.compile(r"/\d+\.\d+$")
_SPEAKABLE = re.compile(r"[!-~]+")  # paths that a rules file can name: it has no quoting
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"enabled": ("backlog", "exclude")}


class _Watch(NamedTuple):
    """A path to audit, with everything below it if it is a folder."""

    path: str
    permissions: str = _CHANGE
    tree: bool = False


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document from the role's variables."""
    return [{"name": "audit_rules_enabled", **_render(snapshot, variables)}]


def _render(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    if not variables["enabled"]:
        return {"notes": ["audit_rules_enabled is false: no rule is written"]}
    host = HostView(snapshot)
    backlog, exclude = variables["backlog"], variables["exclude"]
    reason = _unfit(host) or _variable_error(host, backlog, exclude)
    if reason:
        return {"refused": reason}
    arch = "b32" if host.system.get("arch") in _NARROW else "b64"
    watches, notes = [], []
    for watch in _without_covered(_watches(host)):
        why = _rule_obstacle(watch, host.data("files"))
        if why:
            notes.append(f"{watch.path!r} is not watched: {why}")
        else:
            watches.append(watch)
    rules = [f"-a never,exit -F arch={arch} -F dir={path} -F key=docker" for path in exclude]
    rules += [
        f"-a always,exit -F arch={arch} -F {'dir' if watch.tree else 'path'}={watch.path}"
        f" -F perm={watch.permissions} -F key=docker"
        for watch in watches
    ]
    files = {
        _LIMITS: f"# Written by hardener. A later file may override these limits.\n-b {backlog}\n-f 1\n",
        _RULES: "\n".join(
            [
                "# Written by hardener: record access to the files and programs of the Docker engine.",
                *rules,
                "",
            ]
        ),
    }
    made = sorted({folder for watch in watches for folder in _made_at_boot(watch)})
    if made:
        lines = [f"d {folder.replace('%', '%%')} {_mode(folder, host)} root root -" for folder in made]
        why = "# Written by hardener: audit rules are loaded before the services that create these folders."
        files[_TMPFILES] = "\n".join([why, *lines, ""])
    return {
        "resources": [
            {
                "kind": "file",
                "path": path,
                "content": content,
                "mode": "0644" if path == _TMPFILES else "0640",
            }
            for path, content in files.items()
        ],
        "activations": [{"name": "audit-rules-load", "when": [_LIMITS, _RULES], "rules": rules}],
        "notes": notes,
    }


def _rule_obstacle(watch: _Watch, files: Mapping[str, Any]) -> str:
    """Return why a path cannot have a rule; empty if it can. One bad rule stops the loading of all."""
    if not _SPEAKABLE.fullmatch(watch.path):
        return "an audit rule cannot name it"
    if watch.path.startswith("/run/user/"):
        return "it does not exist when the rules are loaded at boot"
    if watch.tree and watch.path in files and not files[watch.path]:
        return "it does not exist yet; run the role again when the engine has created it"
    return ""


def _made_at_boot(watch: _Watch) -> Iterator[str]:
    """Yield the folders below /run that a rule needs: they do not exist yet when rules are loaded."""
    folder = watch.path if watch.tree else posixpath.dirname(watch.path)
    while folder.startswith("/run/"):
        yield folder
        folder = posixpath.dirname(folder)


def _mode(folder: str, host: HostView) -> str:
    """Return the mode that the engine gives its folder; for other folders, the present mode."""
    record = host.data("files").get(folder) or {}
    return _MODES.get(folder) or str(record.get("mode") or "0755")


def _unfit(host: HostView) -> str:
    """Return why audit rules are impossible on this host; empty if they are possible."""
    reason = host.unread("system", "engine", "files")
    if reason:
        return reason
    if host.state("units") == "failed":
        return f"units could not be read: {host.entry('units').get('error')}"
    if host.state("audit.loaded") == "failed":
        return f"the kernel's audit system cannot be used here: {host.entry('audit.loaded').get('error')}"
    if host.in_container:
        return "this host is a container: the kernel's audit rules belong to the host that runs it"
    return ""


def _variable_error(host: HostView, backlog: int, exclude: Sequence[str]) -> str:
    """Return what is wrong with the role's variables; empty if nothing is."""
    if backlog < 0:
        return f"audit_rules_backlog is {backlog}: it counts events, and must not be negative"
    root = _data_root(host)
    for path in exclude:
        below = posixpath.normpath(path) == path and path.startswith(f"{root}/")
        if not (below and _SPEAKABLE.fullmatch(path)):
            return f"audit_rules_exclude: {path!r} is not a path below {root} that an audit rule can name"
    return ""


def _watches(host: HostView) -> Iterator[_Watch]:
    files = host.data("files")

    def at(path: str, *, tree: bool = False) -> Iterator[_Watch]:
        """Yield a watch on the path with resolved links, if it exists."""
        path = posixpath.normpath(path)
        record = files.get(path)
        if record or any(files[name] and name.startswith(f"{path}/") for name in files):
            yield _Watch(_canonical((record or {}).get("target") or path), _CHANGE, tree)

    for name in _BINARIES:
        path = (host.engine.get("binaries") or {}).get(name)
        if path:
            yield _Watch(_canonical(path), _CHANGE_AND_RUN)
    path = str(host.config.get("path") or "")
    yield from at(posixpath.dirname(path) if host.rootless and path else "/etc/docker", tree=True)
    yield from at(_RUN_CONTAINERD, tree=True)
    root = _data_root(host)
    yield _Watch(_canonical((files.get(root) or {}).get("target") or root), _CHANGE, tree=True)
    for unit in ("docker.service", "docker.socket", "containerd.service"):
        for path in _unit_files(host.unit(unit)):
            # Drop-ins change the unit as well: watch their folder, unless it holds other units' files too.
            drop_ins = f"/etc/systemd/system/{unit}.d"
            tree = posixpath.dirname(path) == drop_ins
            yield from at(drop_ins if tree else path, tree=tree)
    for path in _sockets(host):
        yield from at(path)
    yield from at(str(host.engine.get("containerd_socket") or f"{_RUN_CONTAINERD}/containerd.sock"))
    yield from at(host.config_path)
    for path in ("/etc/default/docker", "/etc/sysconfig/docker", "/etc/containerd/config.toml"):
        yield from at(path)


def _without_covered(watches: Iterator[_Watch]) -> list[_Watch]:
    """Return each path once, without those that a folder's rule covers."""
    found = dict.fromkeys(watches)
    trees = [watch for watch in found if watch.tree]
    return [
        watch
        for watch in found
        if not any(
            watch.path.startswith(f"{tree.path}/") and set(watch.permissions) <= set(tree.permissions)
            for tree in trees
        )
    ]


def _data_root(host: HostView) -> str:
    """Return the engine's data root, without the folder of a remapped user."""
    declared = host.info.get("DockerRootDir") or host.setting("data-root") or default_of("data-root")
    return _canonical(_REMAPPED.sub("", str(declared)))


def _unit_files(unit: Mapping[str, Any]) -> list[str]:
    read = (str(entry).partition(" (")[0] for entry in unit.get("EnvironmentFiles") or ())
    paths = (unit.get("FragmentPath"), *(unit.get("DropInPaths") or ()), *read)
    return [str(path) for path in paths if path]


def _sockets(host: HostView) -> Iterator[str]:
    """Yield the API's sockets: the one that answers, those declared, and those of systemd."""
    yield host.socket
    for each in host.hosts:
        if each.startswith("unix://"):
            yield each[len("unix://") :] or DEFAULT_SOCKET
        elif each.startswith("fd://"):
            for entry in (host.data("units").get("docker.socket") or {}).get("Listen") or ():
                if str(entry).startswith("/"):
                    yield str(entry).partition(" ")[0]


def _canonical(path: str) -> str:
    path = "/" + posixpath.normpath(path).lstrip("/")
    return path[len("/var") :] if path.startswith("/var/run/") else path
