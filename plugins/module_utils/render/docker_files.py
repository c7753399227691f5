"""Render the document of the role docker_files: root owns the engine's files, with strict modes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..subjects import files as subjects
from ..subjects.host import CONFIG_FOLDER, parents, unrepaired
from .hostview import HostView, listed

# Sorts last, so that it overrides other drop-ins.
_DROP_IN = "/etc/systemd/system/{}.d/zz-hardener.conf"
_SHOWN = 10
_FAULTS = (subjects.owner_fault, subjects.mode_fault)


class _Rule(NamedTuple):
    """The required access to a path: owner root, the group (any if empty), and the most permissive mode."""

    path: str
    at_most: int
    group: str = "root"
    program: bool = False  # that a unit starts, and other programs may use


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document from the role's variables."""
    return [{"name": "docker_files_enforce", **_render(snapshot, variables["enforce"])}]


def _render(snapshot: Mapping[str, Any], enforce: bool) -> dict[str, Any]:
    if not enforce:
        return {"notes": ["docker_files_enforce is false: no file is changed"]}
    host = HostView(snapshot)
    reason = host.unread("engine", "files", "daemon.config")
    if reason:
        return {"refused": reason}
    if host.rootless:
        return {"refused": "the engine is rootless: its files belong to its user"}
    files = host.data("files")
    rules: dict[str, _Rule] = {}
    for rule in _rules(host):
        path = posixpath.normpath(rule.path)
        before = rules.get(path, rule)
        rules[path] = before._replace(at_most=before.at_most & rule.at_most)
    resources, left = [], []
    exchangeable: dict[str, list[str]] = {}
    for path, rule in rules.items():
        record = files.get(path)
        if not record or "error" in record or record.get("type") == "link":  # a link without a target
            continue
        at_most = subjects.limit(record, rule.at_most)
        faulty = any(fault(host, path, record, at_most) for fault in _FAULTS)
        reason = record.get("untrusted") or _not_the_engines(host, path)
        reason = reason or (_needed(path, record) if rule.program else "")
        if reason and (faulty or record.get("untrusted")):
            left.append(reason)
        if reason or (rule.program and not faulty):
            continue
        exchangeable.setdefault(str(record.get("exchangeable") or ""), []).append(path)
        resources.append(
            {
                "kind": "attributes",
                "path": path,
                "owner": "root",
                "group": "" if record.get("gid") == 0 else rule.group,
                "at_most": f"{at_most:04o}",
                "remove_acl": bool(subjects.acl_excess(record, at_most)),
            }
        )
    for why, paths in exchangeable.items():
        if why and why.partition(" is ")[0] not in {each["path"] for each in resources}:
            left.append(f"other users can replace {listed(paths)}: {why}: give that folder to root")
    left = [unrepaired(each) for each in left]
    if len(left) > _SHOWN:
        left[_SHOWN:] = [unrepaired(f"{len(left) - _SHOWN} more paths")]
    drop_ins: dict[str, str] = {}
    for unit, key, _value, right in subjects.at_start(host):
        path = _DROP_IN.format(unit)
        drop_ins[path] = drop_ins.get(path, "# Written by hardener.\n[Socket]\n") + f"{key}={right}\n"
    resources += [{"kind": "file", "path": path, "content": content} for path, content in drop_ins.items()]
    reload = {"activations": [{"name": "systemd-reload", "when": [*drop_ins]}]} if drop_ins else {}
    return {"resources": resources, "notes": left, **reload}


def _rules(host: HostView) -> Iterator[_Rule]:
    """Yield what the file controls demand, and more paths by which others could change these files."""
    for subject in subjects.SUBJECTS:
        yield from (_Rule(path, subject.demanded) for path in subject.find(host))
    for path in (*host.unit_files(subjects.OTHER_UNIT), *host.environment_files(subjects.OTHER_UNIT)):
        yield _Rule(path, 0o644)
    yield _Rule(subjects.CONTAINERD_CONFIG, 0o644)
    for path in subjects.certificates(host):
        record = host.data("files")[path] or {}
        folder = record.get("type") == "dir"  # users who can write to it can replace its entries
        yield _Rule(path, 0o755 if folder else 0o400 if path.endswith(".key") else 0o444)
    for path in filter(None, host.tls_paths().values()):
        yield from (_Rule(above, 0o755) for above in parents(path) if above.startswith(f"{CONFIG_FOLDER}/"))
    for subject in subjects.SUBJECTS:
        for path in subject.programs(host):
            yield _Rule(path, subjects.PROGRAM, program=True)
    group = _socket_group(host)
    yield from (_Rule(path, subjects.SOCKET, group) for path in subjects.API_SOCKET.find(host))
    yield from (_Rule(path, subjects.SOCKET) for path in subjects.CONTAINERD.find(host))


def _not_the_engines(host: HostView, path: str) -> str:
    """Return why a path is no file of the engine, although it can decide over one; empty if it is one.

    A path among the certificates was found and not configured: if a link leads out of their folder, the
    engine's rules do not apply to its target.
    """
    if path in parents(host.real(CONFIG_FOLDER)):
        return f"{path} holds {CONFIG_FOLDER}, and other files: give it to root, with mode 0755"
    certificates = f"{CONFIG_FOLDER}/{subjects.CERTIFICATES}"
    if not path.startswith(f"{certificates}/"):
        return ""
    target = host.real(path)
    if target.startswith(f"{host.real(certificates)}/"):
        return ""
    return f"{path}: this link leads out of {certificates}, to {target}: set its owner and mode there"


def _needed(path: str, record: Mapping[str, Any]) -> str:
    """Return why a program stays as it is: others may need its group or set-id bits; empty if it need not."""
    mode, writable = int(record["mode"], 8), subjects.acl_excess(record, subjects.PROGRAM)
    if mode & 0o7000 or (record["gid"] and not (record["uid"] or mode & 0o022 or writable)):
        access = f"{subjects.owner(record)} with mode {record['mode']}"
        return f"{path} belongs to {access}, which others may need: give the unit a copy of its own"
    return ""


def _socket_group(host: HostView) -> str:
    """Return the group that the configuration gives the API's sockets; empty for any group."""
    known = host.entry("groups").get("data")
    if known is None:
        return ""
    names = (name for name, entry in known.items() if host.socket_group in (name, str(entry.get("gid"))))
    return next(names, "root")  # a group that does not exist on this host leaves root alone
