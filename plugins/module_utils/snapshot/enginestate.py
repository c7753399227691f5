"""Build the source `engine`: which engine this host runs, as which user, and its addresses."""

from __future__ import annotations

import os
import re
import time
from errno import EACCES, EAFNOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from ..docker.api import Connection
from ..docker.engine import containerd_socket, verifies_clients
from ..docker.keys import default_of
from ..host import processes
from ..host import units as unit_files
from ..host.errors import Absent, Failed
from ..host.errors import describe as describe_error
from ..host.read import read_or
from ..host.text import printable_path
from . import sockets, unixsockets

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator
    from typing import Any

    from ..docker.engine import Engine

# Programs that forward a TCP socket to a unix socket, by their first fifteen characters, as in the kernel.
_RELAYS = {
    "systemd-socket-": "systemd-socket-proxyd",
    **{name: name for name in ("busybox", "nc", "nc.openbsd", "ncat", "netcat", "socat", "socat1", "ssh")},
}
# Programs that listen for the clients of a container runtime, and their sockets that serve another purpose.
_RUNTIMES = frozenset(
    {"buildkitd", "containerd", "cri-dockerd", "crio", "dockerd", "incusd", "k3s-server", "lxd", "podman"}
)
_NO_API = re.compile(r"/(metrics\.sock|libnetwork/[^/]*|[^/]*\.ttrpc)$")
_MAX_SOCKETS = 64
# How a kernel says that it does not tell Unix sockets at all. Other errors can be caused by containers.
_NOT_TOLD = frozenset({EACCES, EAFNOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT})
_SEPARATORS = re.compile("[:,= ]")


def describe(
    engine: Engine,
    *,
    info: dict[str, Any],
    running: dict[int, str],
    units: dict[str, dict[str, Any]],
    listening: list[dict[str, Any]],
    holders: sockets.Holders,
) -> dict[str, Any]:
    """Return the source `engine`.

    Raises:
        Absent: no engine is installed.
        Failed: another engine answers on Docker's socket.
    """
    if not engine.installed:
        raise Absent("no Docker engine is installed")
    if engine.foreign:
        raise Failed(engine.foreign)
    address = containerd_socket(engine, info)
    relays = dict(_relays(engine, running))
    unix_sockets, unlisted = _unix_sockets(engine, running, holders, relays)
    return {
        "installed": True,
        "binaries": engine.binaries,
        "socket": printable_path(engine.socket) if engine.socket else None,
        "socket_from": engine.socket_from,
        "rootless": engine.rootless,
        "euid": engine.euid,
        "pid": engine.pid,
        "pid_from": _pid_from(engine, units),
        "started": processes.started(engine.pid) if engine.pid else None,
        "most_open_files": processes.most_open_files(engine.pid) if engine.pid else None,
        "containerd_pid": _containerd_pid(address, running),
        "containerd_socket": address,
        "ever_ran": bool(engine.api)
        or ever_ran(str(engine.declared("data-root") or default_of("data-root"))),
        "reachable": bool(engine.api),
        "error": engine.error,
        "api_version": engine.api[2:] or None,
        "home": engine.home,
        "listening": _listening(engine, units, running, listening, holders, relays=relays),
        "sockets": unix_sockets,
        "sockets_error": unlisted,
        "proxies": sum(
            name == "docker-proxy" and (engine.pid is None or processes.parent(pid) == engine.pid)
            for pid, name in running.items()
        ),
    }


def ever_ran(data_root: str) -> bool:
    """Return whether an engine has ever used its data root: otherwise no data can be lost.

    An unreadable folder counts as used.
    """
    try:
        return bool({*os.listdir(data_root)} - {"lost+found"})  # present on a separate file system
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _pid_from(engine: Engine, units: dict[str, dict[str, Any]]) -> str | None:
    """Return how the daemon's process was identified, such as ``pidfile``; None if only by its name."""
    if engine.pid is None:
        return None
    if engine.peer == engine.pid:
        return "peer"
    if units.get("docker.service", {}).get("MainPID") == engine.pid:
        return "systemd"
    path = engine.declared("pidfile") or "/run/docker.pid"
    return "pidfile" if read_or(str(path), "") == str(engine.pid) else None


def _containerd_pid(address: str | None, running: dict[int, str]) -> int | None:
    """Return the process that listens on containerd's socket; None if there is none."""
    try:
        connection = Connection(address or "", time.monotonic() + 1)
    except (OSError, Failed):
        return None
    pid = connection.peer()[0]
    connection.close()
    return pid if running.get(pid) == "containerd" else None


def _listening(
    engine: Engine,
    units: dict[str, dict[str, Any]],
    running: dict[int, str],
    listening: list[dict[str, Any]],
    holders: sockets.Holders,
    *,
    relays: dict[int, str],
) -> list[dict[str, Any]]:
    """Return TCP sockets of the daemon, those that systemd holds for it, and those forwarded to its API."""
    entries = [entry for entry in listening if entry["proto"].startswith("tcp")]
    found = []
    if engine.pid is not None:
        own = processes.namespace(engine.pid, "net")
        if own not in (None, processes.namespace(1, "net"), processes.namespace("self", "net")):
            entries = [entry for entry in sockets.listening(engine.pid) if entry["proto"].startswith("tcp")]
        inodes = holders.held(engine.pid)
        found = [(entry, "dockerd") for entry in entries if entry["inode"] in inodes]
    else:
        listen = [entry for entry in unit_files.listens(units) if not entry.startswith(("/", "vsock:"))]
        ports = {entry.rpartition(":")[2] for entry in listen}
        held_for_it = (entry for entry in entries if entry.get("pid") == 1 and str(entry["port"]) in ports)
        found = [(entry, "systemd") for entry in held_for_it]
    found += _passed_on(relays, holders)
    told = [{"address": entry["address"], "port": entry["port"], "process": name} for entry, name in found]
    return [*told, *_of_others(engine, running, entries, holders)]


def _of_others(
    engine: Engine, running: dict[int, str], entries: list[dict[str, Any]], holders: sockets.Holders
) -> Iterator[dict[str, Any]]:
    """Return TCP sockets of other engines on this host, and whether they verify their clients."""
    for pid, comm in running.items():
        if comm != "dockerd" or pid == engine.pid:
            continue
        held = [entry for entry in entries if entry["inode"] in holders.held(pid)]
        try:
            verifies = bool(held) and verifies_clients(pid)
        except OSError:
            continue  # it ended meanwhile
        for entry in held:
            told = {"address": entry["address"], "port": entry["port"], "process": f"dockerd {pid}"}
            yield {**told, "verifies": verifies}


def _passed_on(relays: dict[int, str], holders: sockets.Holders) -> list[tuple[dict[str, Any], str]]:
    """Return TCP sockets that programs forward to the API's socket, in any network namespace."""
    found = []
    for pid, comm in relays.items():
        try:
            inodes = holders.held(pid)
            entries = sockets.listening(pid)
        except (OSError, Failed):
            continue  # it ended meanwhile
        found += [
            (entry, _RELAYS[comm])
            for entry in entries
            if entry["proto"].startswith("tcp") and entry["inode"] in inodes
        ]
    return found


def _relays(engine: Engine, running: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Return programs whose command line says that they forward to the API's socket."""
    if not engine.socket:
        return
    names = {engine.socket, os.path.realpath(engine.socket)}
    names |= {f"/var{name}" for name in names if name.startswith("/run/")}
    own = processes.namespace(1, "mnt") or processes.namespace("self", "mnt")
    for pid, comm in running.items():
        if comm not in _RELAYS:
            continue
        try:
            arguments = processes.argv(pid)
            words = {word for argument in arguments for word in (argument, *_SEPARATORS.split(argument))}
        except OSError:
            continue  # it ended meanwhile
        # Other users' words could lead to file systems that never answer.
        trusted = processes.namespace(pid, "mnt") == own and _is_roots(pid)
        if words & names or (trusted and any(_is_same(pid, word, engine.socket) for word in words)):
            yield pid, comm


def _is_roots(pid: int) -> bool:
    try:
        return processes.effective_uid(pid) == 0
    except OSError:
        return False  # it ended meanwhile


def _is_same(pid: int, word: str, path: str) -> bool:
    """Return whether a word on the command line of a process is a path of the same file as ``path``."""
    try:
        return bool(word) and os.path.samefile(os.path.join(f"/proc/{pid}/cwd", word), path)
    except (OSError, ValueError):
        return False


def _unix_sockets(
    engine: Engine, running: dict[int, str], holders: sockets.Holders, relays: dict[int, str]
) -> tuple[list[dict[str, Any]], str | None]:
    """Return Unix sockets of container runtimes, and those that programs forward to the engine's.

    Returns:
        The sockets; and why they may not be all.
    """
    try:
        listening = unixsockets.listening()
    except OSError as error:  # the paths that are declared remain
        return [], None if error.errno in _NOT_TOLD else describe_error(error)
    programs = {pid: comm for pid, comm in running.items() if comm in _RUNTIMES or pid == engine.pid}
    programs.update(relays)
    found = {}
    for pid, comm in programs.items():
        for inode in holders.held(pid) & listening.keys():
            socket = listening[inode]
            if not _NO_API.search(socket.name):
                found[inode] = unixsockets.described(socket, comm)
    listed = sorted(found.values(), key=lambda socket: str(socket["path"]))
    cut = f"programs with names of container runtimes have more than {_MAX_SOCKETS} sockets"
    return listed[:_MAX_SOCKETS], cut if len(listed) > _MAX_SOCKETS else None
