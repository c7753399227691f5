"""Render the document of the role docker_files: root owns the engine's files, with strict modes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..docker.api import DEFAULT_SOCKET
from .hostview import HostView

# Sorts last, so that it overrides other drop-ins.
_DROP_IN = "/etc/systemd/system/docker.socket.d/zz-hardener.conf"
_SOCKET = 0o660
_FOLDER = "/etc/docker"
_CERTIFICATES = f"{_FOLDER}/certs.d"
_SHOWN = 10


class _Rule(NamedTuple):
    """The required access to a path: owner root, the group (any if empty), and the most permissive mode."""

    path: str
    at_most: int
    group: str = "root"


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
    resources = []
    rules: dict[str, _Rule] = {}
    for rule in _rules(host, files):
        path = posixpath.normpath(rule.path)
        before = rules.get(path, rule)
        rules[path] = before._replace(at_most=before.at_most & rule.at_most)
    left = []
    for path, rule in rules.items():
        record = files.get(path)
        if not record or "error" in record or record.get("type") == "link":  # a link without a target
            continue
        reason = record.get("untrusted") or _out_of_its_folder(path, record, files)
        if reason:
            left.append(f"left as it is: {reason}")
            continue
        group = "" if record.get("gid") == 0 else rule.group
        resources.append(
            {
                "kind": "attributes",
                "path": path,
                "owner": "root",
                "group": group,
                "at_most": f"{rule.at_most:04o}",
                "remove_acl": _gives_more(record.get("acl") or (), rule.at_most),
            }
        )
    if len(left) > _SHOWN:
        left[_SHOWN:] = [f"left as they are: {len(left) - _SHOWN} more"]
    drop_in = _drop_in(host.unit("docker.socket"))
    if not drop_in:
        return {"resources": resources, "notes": left}
    return {
        "notes": left,
        "resources": [*resources, {"kind": "file", "path": _DROP_IN, "content": drop_in}],
        "activations": [{"name": "systemd-reload", "when": [_DROP_IN]}],
    }


def _rules(host: HostView, files: Mapping[str, Any]) -> Iterator[_Rule]:
    for name in ("docker.service", "docker.socket", "containerd.service"):
        unit = host.unit(name)
        for path in (unit.get("FragmentPath"), *(unit.get("DropInPaths") or ())):
            if path:
                yield _Rule(path, 0o644)
        for entry in unit.get("EnvironmentFiles") or ():
            yield _Rule(str(entry).partition(" (")[0], 0o644)
    yield _Rule(_FOLDER, 0o755)
    for path, record in files.items():
        if f"{path}/".startswith(f"{_CERTIFICATES}/") and record:
            folder = record.get("type") == "dir"  # users who can write to it can replace its entries
            yield _Rule(path, 0o755 if folder else 0o400 if path.endswith(".key") else 0o444)
    yield from _tls(host)
    yield _Rule(host.config_path, 0o644)
    yield _Rule("/etc/default/docker", 0o644)
    yield _Rule("/etc/sysconfig/docker", 0o644)
    yield _Rule("/etc/containerd/config.toml", 0o644)
    yield from _sockets(host)
    yield _Rule(str(host.engine.get("containerd_socket") or "/run/containerd/containerd.sock"), _SOCKET)


def _out_of_its_folder(path: str, record: Mapping[str, Any], files: Mapping[str, Any]) -> str:
    """Return the problem if a path in the certificates' folder is a link that leads out of it; else empty.

    Such a path was found and not configured: if a link leads out of the folder, the engine's rules do not
    apply to its target.
    """
    if not path.startswith(f"{_CERTIFICATES}/"):
        return ""
    folder = (files.get(_CERTIFICATES) or {}).get("target") or _CERTIFICATES
    target = record.get("target") or path
    if str(target).startswith(f"{folder}/"):
        return ""
    return f"{path}: this link leads out of {_CERTIFICATES}, to {target}: set its owner and mode there"


def _tls(host: HostView) -> Iterator[_Rule]:
    """Yield the rules for the TLS files; for default paths only if a flag or the environment enables TLS."""
    environment = host.config.get("environment") or {}
    folder = (
        environment.get("DOCKER_CERT_PATH")
        or environment.get("DOCKER_CONFIG")
        or f"{host.engine.get('home') or '/root'}/.docker"
    )
    by_default = host.flag("tls") or host.flag("tlsverify") or environment.get("DOCKER_TLS_VERIFY")
    for key, name, at_most in (
        ("tlscacert", "ca.pem", 0o444),
        ("tlscert", "cert.pem", 0o444),
        ("tlskey", "key.pem", 0o400),
    ):
        given = host.setting(key)
        if given or by_default:
            path = posixpath.normpath(str(given or f"{folder}/{name}"))
            yield from (_Rule(above, 0o755) for above in _own_folders(path))
            yield _Rule(path, at_most)


def _own_folders(path: str) -> Iterator[str]:
    """Yield the folders of a file below /etc/docker: users who can write to one can replace the file."""
    above = posixpath.dirname(path)
    while above.startswith(f"{_FOLDER}/"):
        yield above
        above = posixpath.dirname(above)


def _sockets(host: HostView) -> Iterator[_Rule]:
    """Yield the rules for the API's sockets, with the group that the configuration gives them."""
    unit = host.unit("docker.socket") if any(each.startswith("fd://") for each in host.hosts) else {}
    group = unit.get("SocketGroup") or host.setting("group") or "docker"
    paths = [str(host.engine.get("socket") or "")]
    paths += [each[len("unix://") :] or DEFAULT_SOCKET for each in host.hosts if each.startswith("unix://")]
    paths += [str(entry).partition(" ")[0] for entry in unit.get("Listen") or ()]
    known = host.entry("groups").get("data")
    if known is None:
        name = ""  # unknown: any group
    else:
        names = (name for name, entry in known.items() if str(group) in (name, str(entry.get("gid"))))
        name = next(names, "root")  # a group that does not exist on this host leaves root alone
    for path in dict.fromkeys(path for path in paths if path.startswith("/")):
        yield _Rule(path, _SOCKET, name)


def _drop_in(unit: Mapping[str, Any]) -> str:
    """Return the drop-in that gives the socket the right mode and owner, if its unit does not."""
    lines = []
    mode = str(unit.get("SocketMode") or "0660")
    if int(mode, 8) & ~_SOCKET:
        lines.append(f"SocketMode={int(mode, 8) & _SOCKET:04o}")
    if unit.get("SocketUser") not in (None, "", "root"):
        lines.append("SocketUser=root")
    return "\n".join(["# Written by hardener.", "[Socket]", *lines, ""]) if lines else ""


def _gives_more(acl: Any, at_most: int) -> bool:
    """Return whether an ACL gives a named user or group more than the mode allows others."""
    mask = next((_bits(entry) for entry in acl if entry.get("tag") == "mask"), 7)
    return any(entry.get("id") is not None and _bits(entry) & mask & ~(at_most & 7) for entry in acl)


def _bits(entry: Mapping[str, Any]) -> int:
    granted = str(entry.get("perms") or "")
    return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in granted)
