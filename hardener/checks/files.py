"""Section 3: check who can change the files that the daemon trusts, and who can reach its sockets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Any

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.lib.paths import (
    api_sockets,
    closed_folder,
    config_folder,
    containerd_socket,
    exists,
    real,
    unit,
    unit_files,
)
from hardener.checks.lib.settings import Settings, tls
from hardener.checks.lib.verdicts import count, failed, listed, manual, needs_engine, not_applicable, passed
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import JSONObject, Snapshot

# Who can write there can make a unit that replaces the packaged one.
_UNIT_FOLDERS = frozenset({"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"})
# A path in a command that is no program of the system: a script, or what it changes.
_NO_PROGRAM = re.compile(r"(?<![\w/.])/(?!usr/|bin/|sbin/)\w")

FindPaths = Callable[[Snapshot], Sequence[str]]
FaultOf = Callable[[Snapshot, str, JSONObject], str]


def _register(
    slug: str,
    subject: str,
    find: FindPaths,
    expected: str,
    fault_of: FaultOf,
    *,
    rootless: bool = True,
    programs: FindPaths = lambda _: (),
    at_start: Callable[[Snapshot], Sequence[Offender]] = lambda _: (),
    doubt: Callable[[Snapshot], str] = lambda _: "",
) -> None:
    """Register a check of the paths from ``find``; without ``rootless``, rootless daemons are exempt.

    ``programs`` finds further paths, which may be executable; ``at_start`` returns what is wrong from the
    next start on, and ``doubt`` returns why that is not known.
    """

    @check(slug)
    @needs_engine
    def decided(snapshot: Snapshot) -> Verdict:
        if not rootless and runs_rootless(snapshot):
            return not_applicable(f"the daemon is rootless: {subject} belongs to its user")
        found = [(path, record) for path in find(snapshot) if (record := snapshot.file(path)) is not None]
        if not found:
            return not_applicable(f"not on this host: {subject}")
        faults = [(path, fault_of(snapshot, path, record)) for path, record in found]
        runs = [(path, record) for path in programs(snapshot) if (record := snapshot.file(path)) is not None]
        program_fault = _root_owner_fault if fault_of is _root_owner_fault else _open_to_others(0o755)
        faults += [(path, program_fault(snapshot, path, record)) for path, record in runs]
        found += runs
        offenders = [Offender("file", path, reason) for path, reason in faults if reason]
        offenders += at_start(snapshot)
        why = doubt(snapshot)
        sentence = f"{subject}: {expected}"
        if not offenders and why:
            return manual(sentence, why, checked=len(found))
        if not offenders:
            return passed(sentence, _summary(found), checked=len(found))
        shown = listed([f"{offender.name} {offender.detail}" for offender in offenders], 3, glue="; ")
        undecided = Undecided(Status.MANUAL, why) if why else None
        return failed(sentence, shown, offenders=offenders, checked=len(found), undecided=undecided)


def _summary(records: Sequence[tuple[str, JSONObject]]) -> str:
    if len(records) > 3:
        return f"{count(len(records), 'file')}, all as expected"
    return "; ".join(f"{path} {_owner(record)} {record['mode']}" for path, record in records)


def _owner(record: JSONObject) -> str:
    return f"{record.get('owner') or record['uid']}:{record.get('group') or record['gid']}"


def _root_owner_fault(snapshot: Snapshot, _: str, record: JSONObject) -> str:
    """Describe owner and group of a file unless both are root; a rootless daemon's user may own it too."""
    if runs_rootless(snapshot):
        user = snapshot.fact("engine").get("euid")
        return "" if record["uid"] in (0, user) else f"belongs to {_owner(record)} (uid {record['uid']})"
    if record["uid"] == 0 and record["gid"] == 0:
        return ""
    return f"belongs to {_owner(record)} ({record['uid']}:{record['gid']})"


def _group_fault(snapshot: Snapshot, _: str, record: JSONObject) -> str:
    """Describe the owner of a socket if it is not root with the declared group or group root; else empty."""
    settings = Settings(snapshot)
    activated = any(host.startswith("fd://") for host in settings.entries("hosts").value)
    socket = (activated and unit(snapshot, "docker.socket")) or {}
    group = str(socket.get("SocketGroup") or settings.text("group").value)
    if record["uid"] == 0 and (record["gid"] == 0 or group in (record.get("group"), str(record["gid"]))):
        return ""
    return f"belongs to {_owner(record)} ({record['uid']}:{record['gid']}), not to root:{group}"


def _wider_than(allowed: int) -> Callable[[JSONObject], str]:
    """Return a check for mode bits outside a mask, and for ACL entries that exceed its bits for others."""

    def wrong(record: JSONObject) -> str:
        reasons = []
        # A user who may read a folder may search it.
        most = allowed | (allowed & 0o444) >> 2 if record.get("type") == "dir" else allowed
        if int(record["mode"], 8) & ~most:
            reasons.append(f"has mode {record['mode']}")
        entries = record.get("acl") or ()
        mask = next((_bits(str(entry["perms"])) for entry in entries if entry.get("tag") == "mask"), 0o7)
        for entry in entries:
            granted = _bits(str(entry.get("perms") or "")) & mask
            if entry.get("id") is not None and granted & ~(most & 0o7):
                name = entry.get("name") or entry["id"]
                reasons.append(f"has an ACL that gives {entry.get('tag')} {name} {entry['perms']}")
        return ", ".join(reasons)

    return wrong


def _open_to_others(allowed: int) -> FaultOf:
    """Return a check for too wide permissions, and for a folder in which others can replace the file.

    Neither counts below a folder that other users cannot search.
    """
    wider = _wider_than(allowed)

    def wrong(snapshot: Snapshot, path: str, record: JSONObject) -> str:
        # A rootless daemon's user may exchange its files. Older snapshots do not say who else may.
        folder = "" if runs_rootless(snapshot) else str(record.get("exchangeable") or "")
        fault = wider(record)
        closed = closed_folder(snapshot, path) if fault or folder else ""
        if closed:
            fault, folder = "", "" if folder.startswith(f"{closed}/") else folder
        reasons = [fault, f"can be replaced by other users: {folder}" if folder else ""]
        return ", ".join(reason for reason in reasons if reason)

    return wrong


def _bits(permissions: str) -> int:
    return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in permissions)


def _one(path: Callable[[Snapshot], str]) -> FindPaths:
    def find(snapshot: Snapshot) -> Sequence[str]:
        where = path(snapshot)
        where = where and posixpath.normpath(where)  # in the notation of the collector
        return [where] if where and exists(snapshot, where) else []

    return find


def _of_unit(name: str) -> FindPaths:
    """Return a finder of the paths that decide how a unit starts: files, drop-ins, folders.

    A drop-in counts at the next start, also one that systemd has not loaded yet.
    """

    def find(snapshot: Snapshot) -> Sequence[str]:
        files: JSONObject = snapshot.fact("files")
        loaded = unit_files(snapshot, name)
        if not loaded:
            return ()
        entries = (unit(snapshot, name) or {}).get("EnvironmentFiles") or ()
        environment = [str(entry).partition(" (")[0] for entry in entries]
        more = [*environment, *sorted(path for path in files if _is_drop_in(path, name))]
        # Those of /lib are those of /usr/lib where that is a link.
        known = {str((files.get(path) or {}).get("target") or path): path for path in more if files.get(path)}
        return tuple(dict.fromkeys((*loaded, *known.values())))

    return find


def _programs(name: str) -> FindPaths:
    """Return a finder of the files that the commands of a unit name: programs, scripts, their settings."""

    def find(snapshot: Snapshot) -> Sequence[str]:
        files: JSONObject = snapshot.fact("files")
        found = unit(snapshot, name) or {}
        keys = ("ExecStartPre", "ExecStart", "ExecStartPost")
        words = (word for key in keys for argv in found.get(key) or () for word in argv)
        return [word for word in dict.fromkeys(words) if (files.get(word) or {}).get("type") == "file"]

    return find


def _unread(snapshot: Snapshot, *names: str) -> str:
    """Return why it is not known how units start: systemd has not read their files, or the collector."""
    for name in names:
        found = unit(snapshot, name) or {"NeedDaemonReload": "no"}
        if "NeedDaemonReload" not in found:
            return f"the snapshot is of an earlier collector, which read less of {name}: audit again"
        if found["NeedDaemonReload"] == "yes":
            return f"files of {name} changed since systemd read them: `systemctl daemon-reload`, audit again"
    return ""


def _socket_units(snapshot: Snapshot) -> dict[str, JSONObject]:
    names = [name for name in snapshot.fact_or("units", {}) if name.endswith(".socket")]
    return {name: found for name in names if (found := unit(snapshot, name))}


def _doubt_sockets(snapshot: Snapshot) -> str:
    """Return why it is not known which mode and owner the API's sockets get at the next start."""
    units = {"docker.service": unit(snapshot, "docker.service") or {}, **_socket_units(snapshot)}
    for name, found in units.items():
        for argv in [*(found.get("ExecStartPre") or ()), *(found.get("ExecStartPost") or ())]:
            if any(_NO_PROGRAM.search(word) for word in argv):
                return f"judge what {name} does to the socket when it starts: {' '.join(argv)}"
    return _unread(snapshot, *units)


def _at_start(key: str, sets: str, is_wrong: Callable[[str], bool]) -> Callable[[Snapshot], list[Offender]]:
    """Return a function that tells which units set a wrong value for the socket at its next start."""
    return lambda snapshot: [
        Offender("setting", name, f"{sets} {found[key]} at its next start")
        for name, found in _socket_units(snapshot).items()
        if found.get(key) and is_wrong(str(found[key]))
    ]


def _is_drop_in(path: str, unit_name: str) -> bool:
    """Return whether a path is a folder of units, the folder of a unit's drop-ins, or a drop-in in it."""
    folder = posixpath.dirname(path) if path.endswith(".conf") else path
    if folder in _UNIT_FOLDERS:
        return folder == path
    drop_ins = (f"{unit_name}.d", f"{unit_name.rpartition('.')[2]}.d")
    return posixpath.basename(folder) in drop_ins and "/systemd/" in folder


def _config_folder(snapshot: Snapshot) -> Sequence[str]:
    """Return the configuration folder, and the parents of its real path."""
    found = _one(config_folder)(snapshot)
    above: list[str] = []
    for path in found:
        place = real(snapshot, path)
        while place not in {"/", ""}:
            place = posixpath.dirname(place)
            above.append(place)
    files = snapshot.fact("files")
    return [*found, *(path for path in above if path in files)]


def _certificates(snapshot: Snapshot) -> Sequence[str]:
    """Return every file below ``certs.d``, client keys included, without dangling links."""
    folder = f"{config_folder(snapshot)}/certs.d/"
    files = snapshot.fact("files")
    return [
        path
        for path, record in sorted(files.items())
        if path.startswith(folder) and (record or {}).get("type") not in ("dir", "link")
    ]


def _tls_file(name: str) -> FindPaths:
    def path(snapshot: Snapshot) -> str:
        options = tls(snapshot, Settings(snapshot))
        return str(getattr(options, name)) if options.enabled else ""

    return _one(path)


_ROOTS = "owner and group root"


def _pair(name: str, subject: str, find: FindPaths, allowed: int, **more: Any) -> None:
    """Register the two usual controls of a file: its owner, and its mode."""
    _register(f"file-{name}-owner", subject, find, _ROOTS, _root_owner_fault, **more)
    expected = f"mode {allowed:04o} or tighter, in folders where only root can replace it"
    _register(f"file-{name}-mode", subject, find, expected, _open_to_others(allowed), **more)


def _unit_pair(name: str, subject: str) -> None:
    _pair(
        name,
        subject,
        _of_unit(subject),
        0o644,
        programs=_programs(subject),
        doubt=lambda snapshot: _unread(snapshot, subject),
    )


_unit_pair("docker-service", "docker.service")
_unit_pair("docker-socket-unit", "docker.socket")
_pair("etc-docker", "the configuration folder", _config_folder, 0o755)
_pair("registry-cert", "certificates of registries", _certificates, 0o444)
_pair("tls-ca", "the CA of the API", _tls_file("ca"), 0o444)
_pair("tls-cert", "the certificate of the API", _tls_file("cert"), 0o444)
_pair("tls-key", "the private key of the API", _tls_file("key"), 0o400)
_pair("daemon-json", "daemon.json", _one(lambda snapshot: Settings(snapshot).path), 0o644)
_pair("etc-default-docker", "/etc/default/docker", _one(lambda _: "/etc/default/docker"), 0o644)
_pair("etc-sysconfig-docker", "/etc/sysconfig/docker", _one(lambda _: "/etc/sysconfig/docker"), 0o644)
_register(
    "file-docker-sock-owner",
    "the API socket",
    api_sockets,
    "owner root, and the group that the daemon's configuration names",
    _group_fault,
    rootless=False,
    at_start=_at_start("SocketUser", "gives the socket to", lambda user: user not in ("root", "0")),
    doubt=_doubt_sockets,
)
# The sticky bit grants nothing: a rootless daemon sets it against automatic cleaning.
_register(
    "file-docker-sock-mode",
    "the API socket",
    api_sockets,
    "mode 0660 or tighter",
    _open_to_others(0o1660),
    at_start=_at_start("SocketMode", "gives the socket the mode", lambda mode: bool(int(mode, 8) & ~0o1660)),
    doubt=_doubt_sockets,
)
_register(
    "file-containerd-sock-owner",
    "the containerd socket",
    _one(containerd_socket),
    _ROOTS,
    _root_owner_fault,
    rootless=False,
)
_register(
    "file-containerd-sock-mode",
    "the containerd socket",
    _one(containerd_socket),
    "mode 0660 or tighter",
    _open_to_others(0o660),
)
