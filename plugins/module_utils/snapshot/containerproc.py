"""Read the state of a running container from /proc and its cgroup, as the host sees it."""

from __future__ import annotations

import os
import time
from functools import lru_cache

from ..host import processes
from ..host.read import read_or, read_pseudo
from . import mounts as mounttable
from . import sockets

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

NAMESPACES = ("net", "pid", "ipc", "uts", "mnt", "user", "cgroup")
MAX_KINDS = 64
MAX_PROCESSES = 4096
_CAPABILITIES = {
    "cap_eff": "CapEff",
    "cap_bnd": "CapBnd",
    "cap_prm": "CapPrm",
    "cap_inh": "CapInh",
    "cap_amb": "CapAmb",
}
_NUMBERS = {"seccomp": "Seccomp", "seccomp_filters": "Seccomp_filters", "no_new_privs": "NoNewPrivs"}
_CONTROLLERS = frozenset({"memory", "cpu", "cpuset", "pids"})
# What runc calls a process until it executes the container's program: for milliseconds, and not yet confined.
# Since a program can take the name too, such a process is waited for, and reported if it stays.
_STARTING = "runc:["
_LOOK = 0.02  # seconds
_PATIENCE = 1.0  # seconds, for all containers of the host together
_UNLIMITED_V1 = 1 << 62  # version 1 uses the largest page-aligned number


class Host:
    """The host's data for comparison: its namespaces, and mount points of cgroups."""

    def __init__(self, mounts: list[dict[str, Any]]) -> None:
        self.namespaces = {
            kind: processes.namespace(1, kind) or processes.namespace("self", kind) for kind in NAMESPACES
        }
        self.label_file = processes.label_file()
        self.cgroups: dict[str, str] = {}  # controller -> mount point of its tree; "" for version 2
        self.unified_limits = (
            False  # whether version 2 holds our controllers, and does not just group processes
        )
        for mount in mounts:
            if mount["fstype"] == "cgroup2" and mount["root"] == "/":
                self.cgroups.setdefault("", mount["mount_point"])
                controllers = (_first(f"{mount['mount_point']}/cgroup.controllers") or "").split()
                self.unified_limits = self.unified_limits or not _CONTROLLERS.isdisjoint(controllers)
            elif mount["fstype"] == "cgroup":
                for name in _CONTROLLERS.intersection(os.path.basename(mount["mount_point"]).split(",")):
                    self.cgroups.setdefault(name, mount["mount_point"])
        self.devices = frozenset(mount["device"] for mount in mounts if mount["mount_point"] != "/dev")
        self.holders = sockets.Holders()
        self.exposed = lru_cache(maxsize=64)(mounttable.exposed)  # most containers have the same mounts
        self._patience = _PATIENCE
        self._id_maps: dict[tuple[str, str | None], list[list[int]]] = {}
        self._limits: dict[str, dict[str, list[str]]] = {}
        self._listening: dict[str, list[dict[str, Any]]] = {}

    def id_map(self, process: processes.Process, name: str, namespace: str | None) -> list[list[int]]:
        """Return the ``uid_map`` or ``gid_map`` of a user namespace, read once per namespace."""
        key = (name, namespace)
        known = self._id_maps.get(key)
        if known is None:
            lines = process.text(name).splitlines()
            known = self._id_maps[key] = [[int(number) for number in line.split()] for line in lines]
        return known

    def started(self, pid: int) -> tuple[dict[str, str], str | None]:
        """Return the status and the program of a process, after waiting until the runtime has started it.

        Raises:
            OSError: it ended meanwhile.
        """
        status = processes.status(pid)
        while status["Name"].startswith(_STARTING) and self._patience > 0:
            time.sleep(_LOOK)
            self._patience -= _LOOK
            status = processes.status(pid)
        return status, processes.executable(pid)

    def limits(self, text: str) -> dict[str, list[str]]:
        """Return resource limits; most containers have the same table."""
        known = self._limits.get(text)
        if known is None:
            known = self._limits[text] = parse_limits(text)
        return known

    def listening(self, pid: int, namespace: str) -> list[dict[str, Any]]:
        """Return listening sockets of a network namespace, read once per namespace."""
        if namespace not in self._listening:
            self._listening[namespace] = sockets.listening(pid)
        return self._listening[namespace]


def read(pid: int, container: str, host: Host, destinations: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Return a container's state in /proc and in its cgroup; None if its first process ended meanwhile.

    Args:
        pid: its first process.
        container: its id.
        host: data for comparison.
        destinations: mount points requested of the engine.

    Raises:
        PermissionError: the collector may not look.
    """
    try:
        return _read(pid, container, host, destinations)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(pid: int, container: str, host: Host, destinations: tuple[str, ...]) -> dict[str, Any]:
    with processes.Process(pid) as process:
        status = processes.parse_status(process.text("status"))
        namespaces = process.namespaces(NAMESPACES)
        if namespaces["mnt"] is None:
            os.readlink(f"/proc/{pid}/ns/mnt")  # raises the reason
        cgroups, own = _cgroup_folders(process.text("cgroup"), container, host)
        members = _members(pid, cgroups) if own else [pid]
        program = process.link("exe")
        kinds, truncated = _kinds(pid, members, status, program, host)
        mountinfo = process.mountinfo()
        mounts, mounts_truncated = mounttable.in_container(mountinfo, destinations, host.devices)
        return {
            "pid": pid,
            "exe": program,
            "uid": int(status["Uid"].split()[1]),
            "gid": int(status["Gid"].split()[1]),
            "uid_map": host.id_map(process, "uid_map", namespaces["user"]),
            "gid_map": host.id_map(process, "gid_map", namespaces["user"]),
            "seccomp": None,
            "no_new_privs": None,
            **privileges(status),
            "label": process.text(host.label_file).strip("\0\n ") or None if host.label_file else None,
            "namespaces": namespaces,
            "host_namespaces": [kind for kind in NAMESPACES if namespaces[kind] == host.namespaces[kind]],
            "limits": host.limits(process.text("limits")),
            "cgroup": _cgroup(cgroups, unified=host.unified_limits) if own else {"path": _any(cgroups)},
            "processes": kinds,
            "processes_total": len(members),
            "processes_truncated": truncated,
            "listening": _listening(pid, namespaces["net"] or "", members, host),
            **mounttable.of_the_kernel(mountinfo, host.exposed),
            "mounts": mounts,
            "mounts_truncated": mounts_truncated,
        }


def privileges(status: dict[str, str]) -> dict[str, Any]:
    """Read capability sets, seccomp and no_new_privs from a process's status, if the kernel has them."""
    found: dict[str, Any] = {name: status[field] for name, field in _CAPABILITIES.items() if field in status}
    found.update({name: int(status[field]) for name, field in _NUMBERS.items() if field in status})
    return found


def parse_limits(text: str) -> dict[str, list[str]]:
    """Parse resource limits: a table with columns of fixed width."""
    lines = text.splitlines()[1:]
    return {line[:26].rstrip(): [line[26:47].rstrip(), line[47:68].rstrip()] for line in lines}


def _cgroup_folders(text: str, container: str, host: Host) -> tuple[dict[str, str], bool]:
    """Return cgroup folders by controller ("" for version 2), and whether the container has its own.

    It has none if the engine manages no cgroups (rootless): then no limit is enforced.
    """
    folders, own = {}, {}
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        # An init system in the container moves itself deeper: the limits are in the folder with the
        # container's id.
        at = path.find(container)
        if at >= 0:
            end = path.find("/", at)
            path = path[:end] if end >= 0 else path
        for name in controllers.split(","):
            if name in host.cgroups:
                folders[name] = f"{host.cgroups[name]}{path}".rstrip("/")
                if at >= 0:
                    own[name] = folders[name]
    return (own, True) if own else (folders, False)


def _cgroup(folders: dict[str, str], *, unified: bool) -> dict[str, Any]:
    """Return the limits of a cgroup: None if unlimited; the key is missing if the controller is missing."""
    found: dict[str, Any] = {"path": _any(folders)}
    if unified and "" in folders:
        folder = folders[""]
        _store(found, "memory_max", _number(_first(f"{folder}/memory.max")))
        _store(found, "cpu_weight", _number(_first(f"{folder}/cpu.weight")))
        _store(found, "cpu_max", _number(_first(f"{folder}/cpu.max")))
        _store(found, "pids_max", _number(_first(f"{folder}/pids.max")))
        _store(found, "cpuset_cpus", _first(f"{folder}/cpuset.cpus.effective"))
    if "memory" in folders:
        limit = _number(_first(f"{folders['memory']}/memory.limit_in_bytes"))
        huge = isinstance(limit, int) and limit >= _UNLIMITED_V1
        _store(found, "memory_max", "max" if huge else limit)
    if "pids" in folders:
        _store(found, "pids_max", _number(_first(f"{folders['pids']}/pids.max")))
    if "cpuset" in folders:
        _store(found, "cpuset_cpus", _first(f"{folders['cpuset']}/cpuset.effective_cpus"))
    if "cpu" in folders:
        shares = _number(_first(f"{folders['cpu']}/cpu.shares"))
        if isinstance(shares, int):
            found["cpu_shares"] = shares
            # 1024 is version 1's default as 100 is version 2's; other values are converted as runc does
            found["cpu_weight"] = 100 if shares == 1024 else 1 + ((shares - 2) * 9999) // 262142
        quota = _first(f"{folders['cpu']}/cpu.cfs_quota_us")
        if quota == "-1":
            found["cpu_max"] = None
        elif quota is not None:
            found["cpu_max"] = f"{quota} {_first(folders['cpu'] + '/cpu.cfs_period_us')}"
    return found


def _any(folders: dict[str, str]) -> str | None:
    """Return the first existing cgroup folder for the snapshot: of memory, of version 2, or of pids."""
    return folders.get("memory") or folders.get("") or folders.get("pids")


def _store(found: dict[str, Any], key: str, value: int | str | None) -> None:
    if value is not None:
        found[key] = None if str(value).startswith("max") else value


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text


def _first(path: str) -> str | None:
    """Return the first line of a cgroup file, None if the controller is missing."""
    try:
        return read_pseudo(path).partition("\n")[0]
    except OSError:
        return None


def _members(pid: int, folders: dict[str, str]) -> list[int]:
    """Return the processes in the container's cgroup and in nested ones."""
    # Any tree has the same members. Version 1 sorts and caches such lists, which is slow: its trees come
    # last.
    folder = next((folders[name] for name in ("", "pids", "memory") if name in folders), "")
    found: list[int] = []
    waiting = [folder] if folder else []
    while waiting and len(found) < MAX_PROCESSES:
        folder = waiting.pop()
        try:
            found += [int(line) for line in read_pseudo(f"{folder}/cgroup.procs").split()]
            if os.stat(folder).st_nlink > 2:  # st_nlink counts nested folders
                waiting += [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found or [pid]


def _kinds(
    pid: int, members: list[int], status: dict[str, str], program: str | None, host: Host
) -> tuple[list[dict[str, Any]], bool]:
    """Return one process per combination of name, program, user, privileges; and whether there are more."""
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    first = privileges(status)
    for member in members[:MAX_PROCESSES]:
        if member != pid:
            try:
                status, program = host.started(member)
            except OSError:
                continue  # it ended meanwhile
        own = {name: value for name, value in privileges(status).items() if value != first.get(name)}
        if processes.namespace(member, "mnt") == (host.namespaces["mnt"] or ""):
            own["host_mounts"] = True
        uid = int(status["Uid"].split()[1])
        key = (status["Name"], program, uid, *own.items())
        if key not in kinds:
            kinds[key] = {"pid": member, "comm": status["Name"], "exe": program, "uid": uid, **own}
    return list(kinds.values())[:MAX_KINDS], len(kinds) > MAX_KINDS or len(members) > MAX_PROCESSES


def _listening(pid: int, namespace: str, members: list[int], host: Host) -> list[dict[str, Any]]:
    """Return sockets of the container's network namespace; if it is the host's, only the container's own."""
    found = host.listening(pid, namespace)
    if not found:
        return []
    owners = host.holders.owners({entry["inode"] for entry in found}, members[:MAX_PROCESSES])
    if namespace == host.namespaces["net"]:
        found = [entry for entry in found if entry["inode"] in owners]
    return [
        {**entry, "process": read_or(f"/proc/{owners.get(entry['inode'], 0)}/comm", "")} for entry in found
    ]
