"""Render the document of the role audit_rules: audit rules for this host's paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..subjects import audit, files
from ..subjects.host import unrepaired
from .hostview import HostView

_RULES = "/etc/audit/rules.d/50-hardener-docker.rules"
_LIMITS = "/etc/audit/rules.d/00-hardener-limits.rules"
_TMPFILES = "/etc/tmpfiles.d/hardener-containerd.conf"

_MODES = {audit.RUN_CONTAINERD: "0711", "/run/docker": "0700"}
_SPEAKABLE = re.compile(r"[!-~]+")  # paths that a rules file can name: it has no quoting
# Lines of other rules files that can keep records of our rules out of the log.
_SUPPRESSING = re.compile(r"\s*-(?:[aA]\s*\S*\b(?:never|exclude|filesystem)\b|e\s*0\b|r\s*[1-9])")
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"enabled": ("backlog", "exclude")}


class _Watch(NamedTuple):
    """A path to audit, with everything below it if it is a folder."""

    path: str
    permissions: str = audit.CHANGE
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
    arch = "b32" if host.system.get("arch") in audit.NARROW_MACHINES else "b64"
    watches, notes = [], []
    for watch in _without_covered(_watches(host)):
        why = _rule_obstacle(watch, host.data("files"))
        if why:
            notes.append(unrepaired(f"{watch.path!r} is not watched: {why}"))
        else:
            watches.append(watch)
    notes += map(unrepaired, (*audit.hindrances(host), *_suppressed(host, exclude)))
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
    if watch.path in files and not files[watch.path]:
        return "it does not exist yet; run the role again when it was created"
    return ""


def _suppressed(host: HostView, exclude: Sequence[str]) -> Iterator[str]:
    """Describe the rules, of the site and of other files, that can suppress records of our rules."""
    for path in exclude:
        yield f"audit_rules_exclude keeps what happens in {path} out of the log: waive audit-var-lib-docker"
    for entry in host.data("audit.persistent") or ():
        path = str(entry.get("file"))
        if path not in (_RULES, _LIMITS) and "/rules.d/" in path:
            lines = [str(line) for line in entry.get("lines") or () if _SUPPRESSING.match(str(line))]
            yield from (
                f"{path} may keep records out of the log: {line!r}: remove the line" for line in lines
            )


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
    root = host.data_root
    for path in exclude:
        below = posixpath.normpath(path) == path and path.startswith(f"{root}/")
        if not (below and _SPEAKABLE.fullmatch(path)):
            return f"audit_rules_exclude: {path!r} is not a path below {root} that an audit rule can name"
    return ""


def _watches(host: HostView) -> Iterator[_Watch]:
    """Yield what the audit controls demand, and more files that decide how the engine starts."""
    for subject in audit.SUBJECTS:
        if subject.name == "docker-service":
            yield from _unit_files(host)  # here, as in the files of earlier versions
        for each in subject.find(host):
            yield _Watch(_canonical(each.path), subject.demanded, each.tree)


def _unit_files(host: HostView) -> Iterator[_Watch]:
    for unit in (*files.ENGINE_UNITS, files.OTHER_UNIT):
        drop_ins = f"/etc/systemd/system/{unit}.d"
        for path in (*host.unit_files(unit), *host.environment_files(unit)):
            # Drop-ins change the unit as well: watch their folder, unless it holds other units' files too.
            if posixpath.dirname(path) == drop_ins and host.exists(drop_ins):
                yield _Watch(host.real(drop_ins), tree=True)
            elif host.exists(path):
                yield _Watch(_canonical(host.real(path)))


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


def _canonical(path: str) -> str:
    path = "/" + posixpath.normpath(path).lstrip("/")
    return path[len("/var") :] if path.startswith("/var/run/") else path
