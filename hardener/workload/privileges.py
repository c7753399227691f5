"""Determine the privileges of a running container: by the kernel for each process, otherwise by the engine.

An unreadable part is listed in ``unknown``, and never counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hardener.checks.lib import fields
from hardener.checks.lib.capability_sets import names_of
from hardener.checks.lib.containers import SOURCE, Container
from hardener.checks.lib.filters import MALFORMED, Filter, FilterKind, compare_running, mask, processes
from hardener.checks.lib.labels import Confinement, Lsm, lsm
from hardener.checks.lib.writable import WritablePath, writable
from hardener.checks.runtime.mounts import devices, mounted_sockets, system_disks, system_mounts
from hardener.snapshot import FactUnavailable

_T = TypeVar("_T")

_DEFAULT_WEIGHT = 100
_NEIGHBOURS = 20  # number of containers that are named for each namespace
_NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")  # namespaces of another container that a container can join


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The capability sets of all processes of a container together."""

    effective: frozenset[str] = frozenset()
    ambient: frozenset[str] = frozenset()
    bounding: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()  # effective, or permitted to the process
    obtainable: frozenset[str] = (
        frozenset()
    )  # obtainable by executing a program: in the bounding set, without no_new_privs


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The users of a container's processes."""

    ids: tuple[int, ...] = ()  # effective uids in the container's user namespace
    root: bool = False  # whether one of them is root there
    host_root: bool = False  # whether one of them is the host's root
    remapped: bool = False  # whether the user namespace is the container's or the engine's, not the host's


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPath:
    """A system directory of the host in a container."""

    described: str
    reason: str
    writable: bool
    file: bool  # whether it is a single regular file


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The resource limits of a container; None for no limit."""

    memory: int | None = None  # bytes
    pids: int | None = None
    cpu: str | None = None  # quota and period, as in cgroup version 2, or a weight


UNREAD_FILTER = Filter(kind=FilterKind.UNKNOWN)
UNREAD_LSM = Lsm(confinement=Confinement.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Privileges:
    """The privileges of a running container: capabilities, filters, users, namespaces, paths, limits."""

    privileged: bool = False
    capabilities: Capabilities = Capabilities()
    seccomp: Filter = UNREAD_FILTER
    no_new_privs: bool = False  # of every process
    lsm: Lsm = UNREAD_LSM
    user: User = User()
    host_namespaces: tuple[str, ...] = ()
    # Kind of namespace → some of the other containers in it.
    joined_namespaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writable: tuple[WritablePath, ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    sockets: tuple[str, ...] = ()  # mounts that reach the API of a container runtime
    disks: tuple[str, ...] = ()  # devices of the host's own filesystems
    devices: tuple[str, ...] = ()
    shared_mounts: tuple[str, ...] = ()  # mounts whose propagation leads back to the host
    unmasked: bool = False  # whether /proc and /sys lack the masks of the engine
    limits: Limits = Limits()
    unknown: tuple[str, ...] = ()  # unreadable parts, with reasons


Neighbours = Mapping[tuple[str, str], tuple[str, ...]]  # kind and id of a namespace → containers in it


def neighbours(running: tuple[Container, ...]) -> Neighbours:
    """Return the names of the containers in each shared namespace."""
    found: dict[tuple[str, str], list[str]] = {}
    for container in running:
        namespaces = (container.facts or {}).get("namespaces")
        if isinstance(namespaces, Mapping):
            for kind in _NAMESPACES:
                if isinstance(identity := namespaces.get(kind), str):
                    found.setdefault((kind, identity), []).append(container.name)
    # Otherwise thousands of containers in one namespace would each list all others.
    return {key: tuple(sorted(names)[: _NEIGHBOURS + 1]) for key, names in found.items() if len(names) > 1}


def privileges(container: Container, near: Neighbours) -> Privileges:
    """Determine the privileges of a running container.

    Args:
        container: one that runs.
        near: which containers share namespaces.
    """
    reader = _Reader(container)
    read = reader.read
    user = read("user", lambda: _user(container), User())
    none: tuple[str, ...] = ()
    shared = read("namespaces", lambda: tuple(map(str, container.fact("host_namespaces"))), none)
    return Privileges(
        privileged=read("privileged mode", lambda: container.privileged, False),
        capabilities=read("capabilities", lambda: _capabilities(container), Capabilities()),
        seccomp=read("seccomp", lambda: compare_running(container), UNREAD_FILTER),
        no_new_privs=read("no_new_privs", lambda: _no_new_privs(container), False),
        lsm=read("security module", lambda: lsm(container), UNREAD_LSM),
        user=user,
        host_namespaces=tuple(kind for kind in shared if kind != "user" or not user.remapped),
        joined_namespaces=read("namespaces", lambda: _joined(container, shared, near), {}),
        writable=read("writable paths", lambda: writable(container), ()),
        host_paths=read("mounts", lambda: _host_paths(container), ()),
        sockets=read("mounts", lambda: tuple(mounted_sockets(container)), ()),
        disks=read("disks", lambda: tuple(system_disks(container)), ()),
        devices=read("devices", lambda: tuple(devices(container)), ()),
        shared_mounts=read("mount propagation", lambda: _shared_mounts(container), ()),
        unmasked=read("masked paths", lambda: _unmasked(container), False),
        limits=read("limits", lambda: _limits(container), Limits()),
        unknown=tuple(dict.fromkeys(reader.unknown)),
    )


class _Reader:
    """Reads one part after the other; a missing or malformed part is noted and affects no other."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.unknown: list[str] = []

    def read(self, part: str, what: Callable[[], _T], default: _T) -> _T:
        try:
            return what()
        except FactUnavailable as missing:
            self.unknown.append(f"{part}: {missing.reason}")
        except MALFORMED as error:
            self.unknown.append(f"{part}: not in the format of the collector ({type(error).__name__})")
        return default


def _capabilities(container: Container) -> Capabilities:
    sets = {"cap_eff": 0, "cap_amb": 0, "cap_bnd": 0, "cap_prm": 0}
    obtainable = 0
    for process in processes(container):
        # First collectors and kernels before 4.3 do not report the ambient set.
        found = {key: mask(container, process, key) for key in sets if key in process or key != "cap_amb"}
        for key, value in found.items():
            sets[key] |= value
        if process["no_new_privs"] != 1:
            obtainable |= found["cap_bnd"]
    held = sets["cap_eff"] | sets["cap_prm"]
    return Capabilities(
        effective=names_of(sets["cap_eff"]),
        ambient=names_of(sets["cap_amb"]),
        bounding=names_of(sets["cap_bnd"]),
        held=names_of(held),
        obtainable=names_of(obtainable & ~held),
    )


def _no_new_privs(container: Container) -> bool:
    container.fact("no_new_privs")
    return all(process["no_new_privs"] == 1 for process in processes(container))


def _user(container: Container) -> User:
    maps = [tuple(map(int, row)) for row in container.fact("uid_map")]
    outside = {int(process["uid"]) for process in processes(container)}
    inside = {uid: _inside(uid, maps) for uid in outside}
    return User(
        ids=tuple(sorted(uid for uid in inside.values() if uid is not None)),
        root=0 in inside.values(),
        host_root=0 in outside,
        remapped=not any(begin == 0 and at == 0 and length > 0 for begin, at, length in maps),
    )


def _inside(uid: int, maps: list[tuple[int, ...]]) -> int | None:
    """Map a uid of the host into the container; each row is (inside, outside, length)."""
    return next((begin + uid - at for begin, at, length in maps if at <= uid < at + length), None)


def _joined(container: Container, shared: tuple[str, ...], near: Neighbours) -> dict[str, tuple[str, ...]]:
    namespaces = fields.table(container.facts or {}, "namespaces", SOURCE)
    found = {}
    for kind in _NAMESPACES:
        others = near.get((kind, str(namespaces.get(kind))), ())
        if kind not in shared and others:
            own = container.name
            found[kind] = tuple(name for name in others if name != own)[:_NEIGHBOURS]
    return found


def _host_paths(container: Container) -> tuple[HostPath, ...]:
    files = container.snapshot.fact("files")
    found = []
    for each in system_mounts(container):
        if each.by_hook:
            continue
        record = files.get(each.mount.declared)
        found.append(
            HostPath(
                described=each.mount.described(each.name),
                reason=each.reason.lstrip(", "),
                writable=each.mount.writable,
                file=isinstance(record, Mapping) and record.get("type") == "file",
            )
        )
    return tuple(found)


def _shared_mounts(container: Container) -> tuple[str, ...]:
    return tuple(
        f"{row.get('Source')} ({row['Propagation']})"
        for row in fields.rows(container.inspect, "Mounts", SOURCE)
        if row.get("Propagation") in {"shared", "rshared"}
    )


def _unmasked(container: Container) -> bool:
    """Return whether the engine masks no path in /proc and /sys; engines before 18.09 always mask."""
    hidden: Any = container.host_config.get("MaskedPaths", ...)
    return hidden is not ... and not hidden


def _limits(container: Container) -> Limits:
    container.fact("cgroup")
    cgroup = fields.table(container.facts or {}, "cgroup", SOURCE)
    memory, pids = cgroup.get("memory_max"), cgroup.get("pids_max")
    total = fields.number(container.snapshot.info, "MemTotal", "docker.info")
    weight = cgroup.get("cpu_weight")
    weighted = weight is not None and weight != _DEFAULT_WEIGHT
    quota = cgroup.get("cpu_max")
    return Limits(
        memory=int(memory) if memory is not None and not 0 < total <= int(memory) else None,
        pids=int(pids) if pids is not None else None,
        cpu=str(quota) if quota is not None else f"weight {weight}" if weighted else None,
    )
