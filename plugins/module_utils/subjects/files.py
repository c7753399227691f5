"""Define the paths whose owner and mode matter: judged by 24 controls, set by the role docker_files."""

from __future__ import annotations

import posixpath

from .host import CONFIG_FOLDER, CONTAINERD_SOCKET, TLS_FILES, Host, Subject, commands, parents

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

# Who can write there can make a unit that replaces the packaged one.
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
ENGINE_UNITS = ("docker.service", "docker.socket")
OTHER_UNIT = "containerd.service"
CERTIFICATES = "certs.d"
CONTAINERD_CONFIG = "/etc/containerd/config.toml"
DEFAULTS, SYSCONFIG = "/etc/default/docker", "/etc/sysconfig/docker"
SOCKET = 0o660
PROGRAM = 0o755
# Read on every host, whatever its engine.
FIXED = (
    CONTAINERD_CONFIG,
    DEFAULTS,
    CONFIG_FOLDER,
    f"{CONFIG_FOLDER}/daemon.json",
    SYSCONFIG,
    posixpath.dirname(CONTAINERD_SOCKET),
    CONTAINERD_SOCKET,
)


def drop_in_folders(unit: str) -> tuple[str, str]:
    """Return the names of the folders of a unit's drop-ins: its own, and the one of its type."""
    return f"{unit}.d", f"{unit.rpartition('.')[2]}.d"


def _of_unit(name: str) -> Callable[[Host], Sequence[str]]:
    """Return a finder of the paths that decide how a unit starts: files, drop-ins, folders.

    A drop-in counts at the next start, also one that systemd has not loaded yet.
    """

    def find(host: Host) -> Sequence[str]:
        loaded = host.unit_files(name)
        if not loaded:
            return ()
        files = host.data("files")
        more = [*host.environment_files(name), *sorted(path for path in files if _is_drop_in(path, name))]
        # Paths in /lib are those in /usr/lib where that is a link.
        known = {host.real(path): path for path in more if files.get(path)}
        return list(dict.fromkeys((*loaded, *known.values())))

    return find


def _programs(unit: str) -> Callable[[Host], Sequence[str]]:
    """Return a finder of the files that the commands of a unit name: programs, scripts, their settings."""

    def find(host: Host) -> Sequence[str]:
        files = host.data("files")
        words = dict.fromkeys(word for argv in commands(host.unit(unit)) for word in argv)
        return [word for word in words if (files.get(word) or {}).get("type") == "file"]

    return find


def _is_drop_in(path: str, unit: str) -> bool:
    """Return whether a path is a folder of units, the folder of a unit's drop-ins, or a drop-in in it."""
    folder = posixpath.dirname(path) if path.endswith(".conf") else path
    if folder in UNIT_FOLDERS:
        return folder == path
    return posixpath.basename(folder) in drop_in_folders(unit) and "/systemd/" in folder


def _config_folder(host: Host) -> Sequence[str]:
    """Return the configuration folder, and the parents of its real path."""
    files, folder = host.data("files"), host.config_folder
    if not host.exists(folder):
        return ()
    return [folder, *(path for path in parents(host.real(folder)) if path in files)]


def certificates(host: Host) -> Iterator[str]:
    """Yield the collected paths below ``certs.d``, folders and client keys included."""
    folder = f"{host.config_folder}/{CERTIFICATES}"
    yield from (path for path in sorted(host.data("files")) if f"{path}/".startswith(f"{folder}/"))


def _certificate_files(host: Host) -> Sequence[str]:
    files = host.data("files")
    dangling = ("dir", "link")
    return [path for path in certificates(host) if (files[path] or {}).get("type") not in dangling]


def _one(path: Callable[[Host], str]) -> Callable[[Host], Sequence[str]]:
    def find(host: Host) -> Sequence[str]:
        where = path(host)
        where = where and posixpath.normpath(where)  # in the notation of the collector
        return [where] if where and host.exists(where) else []

    return find


def _tls(key: str) -> Callable[[Host], Sequence[str]]:
    return _one(lambda host: host.tls_paths()[key] if host.uses_tls else "")


_TLS_WORDS = (("ca", "the CA"), ("cert", "the certificate"), ("key", "the private key"))
SUBJECTS = (
    *(
        Subject(name, unit, 0o644, _of_unit(unit), _programs(unit))
        for name, unit in zip(("docker-service", "docker-socket-unit"), ENGINE_UNITS)
    ),
    Subject("etc-docker", "the configuration folder", 0o755, _config_folder),
    Subject("registry-cert", "certificates of registries", 0o444, _certificate_files),
    *(
        Subject(f"tls-{name}", f"{words} of the API", 0o400 if name == "key" else 0o444, _tls(key))
        for (name, words), (key, _) in zip(_TLS_WORDS, TLS_FILES)
    ),
    Subject("daemon-json", "daemon.json", 0o644, _one(lambda host: host.config_path)),
    Subject("etc-default-docker", DEFAULTS, 0o644, _one(lambda _: DEFAULTS)),
    Subject("etc-sysconfig-docker", SYSCONFIG, 0o644, _one(lambda _: SYSCONFIG)),
)
# The sticky bit grants nothing: a rootless daemon sets it against automatic cleaning.
API_SOCKET = Subject("docker-sock", "the API socket", 0o1000 | SOCKET, lambda host: host.api_sockets())
CONTAINERD = Subject(
    "containerd-sock", "the containerd socket", SOCKET, _one(lambda host: host.containerd_socket)
)


def socket_units(host: Host) -> dict[str, Mapping[str, Any]]:
    """Return the socket units that start the engine."""
    return {
        name: unit for name in host.data("units") if name.endswith(".socket") and (unit := host.unit(name))
    }


def at_start(host: Host) -> Iterator[tuple[str, str, str, str]]:
    """Yield what socket units give the API's sockets at the next start: unit, key, value, right value."""
    for name, unit in socket_units(host).items():
        mode = int(str(unit.get("SocketMode") or "0"), 8)
        if mode & ~API_SOCKET.demanded:
            yield name, "SocketMode", str(unit["SocketMode"]), f"{mode & SOCKET:04o}"
        if unit.get("SocketUser") not in (None, "", "root", "0"):
            yield name, "SocketUser", str(unit["SocketUser"]), "root"


def owner(record: Mapping[str, Any]) -> str:
    """Return owner and group of a file, by name where these are known."""
    return f"{record.get('owner') or record['uid']}:{record.get('group') or record['gid']}"


def owner_fault(host: Host, _path: str, record: Mapping[str, Any], _at_most: int) -> str:
    """Describe owner and group of a file unless both are root; a rootless daemon's user may own it too."""
    if host.rootless:
        user = host.data("engine").get("euid")
        return "" if record["uid"] in (0, user) else f"belongs to {owner(record)} (uid {record['uid']})"
    if record["uid"] == 0 and record["gid"] == 0:
        return ""
    return f"belongs to {owner(record)} ({record['uid']}:{record['gid']})"


def limit(record: Mapping[str, Any], at_most: int) -> int:
    """Return the most permissive mode of a path: a user who may read a folder may search it."""
    return at_most | (at_most & 0o444) >> 2 if record.get("type") == "dir" else at_most


def acl_excess(record: Mapping[str, Any], at_most: int) -> list[str]:
    """Describe ACL entries that give a user or group more than a mode gives others."""
    entries = record.get("acl") or ()
    mask = next((_bits(entry) for entry in entries if entry.get("tag") == "mask"), 0o7)
    return [
        f"has an ACL that gives {entry.get('tag')} {entry.get('name') or entry['id']} {entry['perms']}"
        for entry in entries
        if entry.get("id") is not None and _bits(entry) & mask & ~(at_most & 0o7)
    ]


def mode_fault(host: Host, path: str, record: Mapping[str, Any], at_most: int) -> str:
    """Describe too wide permissions, and a folder in which others can replace the file.

    Neither counts below a folder that other users cannot search.
    """
    most = limit(record, at_most)
    reasons = [f"has mode {record['mode']}"] if int(record["mode"], 8) & ~most else []
    reasons += acl_excess(record, most)
    # A rootless daemon's user may exchange its files. Older snapshots do not say who else may.
    folder = "" if host.rootless else str(record.get("exchangeable") or "")
    closed = host.closed_folder(path) if reasons or folder else ""
    if closed:
        reasons, folder = [], "" if folder.startswith(f"{closed}/") else folder
    reasons += [f"can be replaced by other users: {folder}"] if folder else []
    return ", ".join(reasons)


def _bits(entry: Mapping[str, Any]) -> int:
    granted = str(entry.get("perms") or "")
    return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in granted)
