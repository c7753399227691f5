"""Check the containers' access to the host's filesystem and devices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from hardener.checks import check
from hardener.checks.lib import fields, mounttable, policy
from hardener.checks.lib.capability_sets import names_of
from hardener.checks.lib.containers import SOURCE, Container, container_check, every_container
from hardener.checks.lib.filters import mask, processes
from hardener.checks.lib.hostmounts import HostMount, clean, host_mounts, inode, real
from hardener.checks.lib.labels import Confinement, lsm
from hardener.checks.lib.mounttable import Host, Location, joined, relative, within
from hardener.checks.lib.rule import Note
from hardener.checks.lib.verdicts import listed, needs_engine
from hardener.checks.lib.writable import root_is_writable, writable
from hardener.checks.runtime.capabilities import declared_capabilities
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

# Folders of the host's system: its programs, its secrets, its devices, the sockets of its services.
_TREES = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/spool/cron",
)

_HOMES = "/home"
_KEYS = frozenset({".aws", ".docker", ".gnupg", ".kube", ".ssh"})  # of a user's home
_PLACES = 8  # number of writable places that are listed

# Sockets that control all containers of a runtime: their clients are root on the host.
_RUNTIME_SOCKETS = (
    "/run/buildkit/buildkitd.sock",
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/nri/nri.sock",
    "/run/podman/podman.sock",
)
_ROOTLESS_SOCKET = re.compile(r"/run/user(/\d+(/docker\.sock|/podman(/podman\.sock)?)?)?")


@container_check(
    "container-no-sensitive-mounts", expected="no container mounts a system directory of the host"
)
def _sensitive(container: Container) -> Iterator[str]:
    allowed = [
        clean(path)
        for path in policy.for_container(container.snapshot, "sensitive_mounts", container.name) or ()
    ]
    yield from _outside(container)
    yield from system_disks(container)
    for found in system_mounts(container, allowed):
        shown = found.mount.described(found.name)
        if any(within(found.name, path) for path in allowed):
            yield Note(f"policy lets it mount {found.name}")
        elif found.by_hook:
            yield Note(f"{shown}: the runtime added it, by a hook or a device specification")
        else:
            yield f"{shown}{found.reason}"


class SystemMount(NamedTuple):
    """A mount of a container that shows a system directory of the host."""

    mount: HostMount
    name: str  # its path on the host
    reason: str  # the reason, as the end of a sentence

    @property
    def by_hook(self) -> bool:
        """Return whether the runtime added the mount itself, read-only, as for drivers below /usr."""
        mount = self.mount
        return mount.by_runtime and not mount.writable and within(self.name, "/usr") and self.name != "/usr"


def system_mounts(container: Container, allowed: Sequence[str] = ()) -> Iterator[SystemMount]:
    """Return the system directories of the host that a container mounts.

    Args:
        container: the container.
        allowed: paths that a policy accepts; where a mount has several names, another one is given first.
    """
    trees = _system_trees(container)
    places = _places(container.snapshot, trees)
    for mount in host_mounts(container):
        found = (
            _sensitive_name(container.snapshot, mount, trees, allowed)
            or _sensitive_place(mount, places)
            or _kernels(mount)
        )
        if found is not None:
            yield SystemMount(mount, *found)


def system_disks(container: Container) -> Iterator[str]:
    """Return the host's disks that a container has as devices: those of the host's own filesystems."""
    yield from _disks(container, _places(container.snapshot, _system_trees(container)))


def _system_trees(container: Container) -> tuple[str, ...]:
    root = fields.text(container.snapshot.info, "DockerRootDir", "docker.info")
    return (*_TREES, clean(root)) if root else _TREES


def _sensitive_name(
    snapshot: Snapshot, mount: HostMount, trees: tuple[str, ...], allowed: Sequence[str]
) -> tuple[str, str] | None:
    """Return a sensitive path of a mount with the reason; prefer one that ``allowed`` does not cover."""
    above = not mount.by_location  # otherwise the location decides
    names = [*mount.names, *_through_links(snapshot, mount.names, trees)]
    found = [(name, because) for name in names if (because := _sensitive_because(name, trees, above))]
    found.sort(key=lambda pair: any(within(pair[0], path) for path in allowed))
    return found[0] if found else None


def _through_links(snapshot: Snapshot, names: Sequence[str], trees: Sequence[str]) -> Iterator[str]:
    """Yield other names through symbolic links: ``/home/a`` for ``/srv/home/a`` if ``/home`` is a link."""
    for tree in (*trees, _HOMES):
        target = real(snapshot, tree)
        if target not in {tree, "/"}:
            yield from (joined(tree, relative(name, target)) for name in names if within(name, target))


def _kernels(mount: HostMount) -> tuple[str, str] | None:
    return (_shortest(mount.names), f", the host kernel's {mount.kernels}") if mount.kernels else None


def _sensitive_place(
    mount: HostMount, places: tuple[tuple[str, tuple[Location, ...]], ...]
) -> tuple[str, str] | None:
    for tree, locations in places:
        if tree != _HOMES and any(map(mount.is_inside, locations)):
            return _shortest(mount.names), f", which shows files of {tree}"
        if any(map(mount.holds, locations)):
            return _shortest(mount.names), f", which holds {tree}"
    return None


def _shortest(names: tuple[str, ...]) -> str:
    return min(names, key=len, default="")


@lru_cache(maxsize=1)
def _places(snapshot: Snapshot, trees: tuple[str, ...]) -> tuple[tuple[str, tuple[Location, ...]], ...]:
    """Return each tree's locations, with overlay layers and loop devices' files; empty if unknown."""
    host = mounttable.host(snapshot)
    if host is None:
        return ()
    found = []
    for tree in (*trees, _HOMES):
        location = host.table.locate(real(snapshot, tree))
        if location:
            shown = host.expanded(location)
            files = [file for each in shown for file in host.images(each.device)]
            found.append((tree, (*shown, *files)))
    return tuple(found)


def _disks(container: Container, places: tuple[tuple[str, tuple[Location, ...]], ...]) -> Iterator[str]:
    """Return the disks of the host's own filesystems that the container has as devices."""
    host = mounttable.host(container.snapshot)
    if host is None:
        return
    disks: dict[str, str] = {}
    for tree, locations in places:
        for location in locations:
            for number in host.carriers(location.device):
                disks.setdefault(number, tree)
    for device in fields.rows(container.host_config, "Devices", SOURCE):
        asked = str(device.get("PathOnHost") or "")
        for path, given in _nodes(container.snapshot, host, asked):
            for disk in sorted(host.underlying(given) & disks.keys()):
                yield f"has {_standing_on(path, given, disk)} ({given}), the disk of {disks[disk]}"
    rules = fields.texts(container.host_config, "DeviceCgroupRules", SOURCE)
    given_by = {number: host.underlying(number) & disks.keys() for number in host.block_devices if rules}
    for rule in rules:
        opened = next(
            (number for number in (*disks, *given_by) if given_by[number] and _opens(rule, number)), ""
        )
        if opened:
            disk = min(given_by[opened] & {opened} or given_by[opened])
            shown = _standing_on(opened, opened, disk)
            yield f"may open device {shown}, the disk of {disks[disk]}, by the rule {rule!r}"


def _standing_on(name: str, number: str, disk: str) -> str:
    return name if number == disk else f"{name} on {disk}"


def _nodes(snapshot: Snapshot, host: Host, path: str) -> Iterator[tuple[str, str]]:
    """Return the block devices that a path gives to a container: itself, or all in a folder."""
    files: JSONObject = snapshot.fact("files")
    record = files.get(path)
    if isinstance(record, Mapping) and record.get("type") == "dir":
        inside = [name for name in sorted(files) if name.startswith(f"{path.rstrip('/')}/")]
    else:
        inside = [path]
    for name in inside:
        record = files.get(name)
        node = str(record.get("node") or "") if isinstance(record, Mapping) else ""
        number = (node[2:] if node.startswith("b ") else None) if node else host.number(name)
        if number:
            yield name, number


def _opens(rule: str, number: str) -> bool:
    """Return whether a rule of the device cgroup permits reading or writing a block device."""
    words = rule.split()
    if not words or words[0] not in {"a", "b"}:
        return False
    if len(words) == 1:
        return words[0] == "a"
    pattern, access = words[1].split(":"), words[2] if len(words) > 2 else "rwm"
    matches = all(wanted in {"*", has} for wanted, has in zip(pattern, number.split(":"), strict=False))
    return matches and bool({"r", "w"} & set(access))


def _sensitive_because(path: str, trees: tuple[str, ...], above: bool) -> str:
    """Return why a host path, its parent or its child is sensitive, as a phrase; empty if none is."""
    for tree in trees:
        if path == tree:
            return ", a system directory"
        if within(path, tree):
            return f", inside {tree}"
    held = [tree for tree in trees if within(tree, path)] if above else []
    if held:
        return f", which holds {held[0]}"
    parts = path.split("/")[1:]
    # A whole home folder contains keys and logins; a folder deeper down often belongs to the workload.
    if parts[0] == "home" and (len(parts) <= 2 or not _KEYS.isdisjoint(parts)):
        return ", where users keep their keys"
    return ""


@container_check(
    "container-no-docker-sock", expected="no container reaches the API socket of a container runtime"
)
def runtime_sockets(container: Container) -> Iterator[str]:
    """Return the ways in which a container reaches the API of a container runtime."""
    yield from _outside(container)
    if _follows_processes(container):
        yield "is in the host's process namespace with CAP_SYS_PTRACE: it reaches sockets in /proc/1/root"
    yield from _abstract_sockets(container)
    yield from mounted_sockets(container)


@lru_cache(maxsize=1)
def _socket_places(
    snapshot: Snapshot,
) -> tuple[list[tuple[str, list[Location]]], list[tuple[str, Location]]]:
    """Return path and location of runtimes' sockets: of existing sockets, and of those whose file is gone."""
    sockets, host = _sockets(snapshot), mounttable.host(snapshot)
    if host is None:
        return [], []
    paths = [(path, real(snapshot, path)) for path in (*sockets.paths, *sockets.aliases)]
    places = [(path, host.expanded(at)) for path, name in paths if (at := host.table.locate(name))]
    return places, [(path, at) for path in sockets.gone if (at := host.table.locate(path))]


def mounted_sockets(container: Container) -> Iterator[str]:
    """Return the mounts through which a container reaches the API of a container runtime."""
    sockets = _sockets(container.snapshot)
    places, gone = _socket_places(container.snapshot)
    for mount in host_mounts(container):
        removed = next((path for path, at in gone if mount.is_what_was(at)), "")
        same = next((path for path, number in sockets.paths.items() if number and number == mount.socket), "")
        if mount.by_location:
            reached = next((path for path, at in places if any(map(mount.holds, at))), "")
        else:
            reached = next((path for path in sockets.paths if within(path, mount.names[0])), "")
        rootless = next((each for each in mount.names if _ROOTLESS_SOCKET.fullmatch(each)), "")
        if reached or same:
            yield _described(mount, reached, same, sockets.aliases.get(reached, ""))
        elif removed:
            yield f"{mount.described(removed)}, an API socket of a container runtime that was removed since"
        elif rootless:
            yield f"{mount.described(rootless)}, where rootless engines have their API socket"
    if any(host_mounts(container)):
        _require_all_listed(container.snapshot)


def _described(mount: HostMount, reached: str, same: str, alias: str) -> str:
    """Describe a mount that shows the API socket of a runtime: itself, in a folder, or by another path."""
    name = reached if reached in mount.names else _shortest(mount.names)
    if alias and name == reached:
        return f"{mount.described(name)}, which is {alias}"
    if name == reached or same in mount.names:
        return f"{mount.described(name)}, the API socket of a container runtime"
    if reached:
        return f"{mount.described(name)}, and with it {reached}{', ' if alias else ''}{alias}"
    return f"{mount.described(name)}, which is the same socket as {same}"


def _require_all_listed(snapshot: Snapshot) -> None:
    """Require that the collector has listed all sockets of container runtimes.

    Raises:
        FactUnavailable: the collector could not list them all.
    """
    unlisted = snapshot.fact("engine").get("sockets_error")
    if unlisted:
        raise FactUnavailable("engine", f"the sockets of container runtimes are not all known: {unlisted}")


def _outside(container: Container) -> Iterator[str]:
    """Return a process of the container that sees the host's mounts, not the container's."""
    for process in fields.rows(container.facts or {}, "processes", SOURCE):
        if process.get("host_mounts"):
            yield f"its process {process.get('comm')} ({process.get('pid')}) is in the host's mount namespace"
            return


def _follows_processes(container: Container) -> bool:
    """Return whether a container can open the root folders of the host's processes (``/proc/PID/root``).

    The kernel asks for the capability where a process of the host has more privileges; AppArmor and SELinux
    refuse it to the containers that they confine.
    """
    if not container.shares("pid"):
        return False
    if not container.running:
        options = (*container.security_options("apparmor"), *container.security_options("label"))
        open_ = container.privileged or bool({"unconfined", "disable"} & {*options})
        confined = bool({"apparmor", "selinux"} & container.snapshot.security_options) and not open_
        return not confined and "SYS_PTRACE" in declared_capabilities(container)
    has_label = bool((container.facts or {}).get("label"))
    confined = has_label and lsm(container).confinement in (Confinement.DEFAULT, Confinement.OWN)
    if confined or "user" not in container.fact("host_namespaces"):
        return False
    return any(
        "SYS_PTRACE" in names_of(mask(container, process, "cap_eff")) for process in processes(container)
    )


def _abstract_sockets(container: Container) -> Iterator[str]:
    """Describe each abstract socket of a runtime if the container is in the host's network namespace."""
    engine: JSONObject = container.snapshot.fact("engine")
    for socket in fields.rows(engine, "sockets", "engine"):
        path = str(socket.get("path"))
        if path.startswith("@") and container.shares("net"):
            yield f"is in the host's network namespace, where {socket.get('process')} listens on {path}"
    if container.shares("net"):
        _require_all_listed(container.snapshot)


class _Sockets(NamedTuple):
    """The sockets of the container runtimes of a host."""

    paths: dict[str, tuple[object, object] | None]  # with the inode, if it exists
    aliases: dict[str, str]  # hard links, and names that a socket got later, with what they are
    gone: tuple[str, ...]  # names that a socket has no more


@lru_cache(maxsize=1)
def _sockets(snapshot: Snapshot) -> _Sockets:
    engine: JSONObject = snapshot.fact("engine")
    files: JSONObject = snapshot.fact("files")
    own = [clean(str(engine[key])) for key in ("socket", "containerd_socket") if engine.get(key)]
    paths: dict[str, tuple[object, object] | None] = {}
    for path in (*own, *_RUNTIME_SOCKETS):
        record = files.get(path) or files.get(f"/var{path}")
        paths[path] = inode(record)
        target = record.get("target") if isinstance(record, Mapping) else None
        if isinstance(target, str) and target != path:
            paths[clean(target)] = inode(record)
    moved: dict[tuple[object, object] | None, str] = {}
    gone: list[str] = []
    for socket in fields.rows(engine, "sockets", "engine"):
        path, file = str(socket.get("path")), (socket.get("dev"), socket.get("ino"))
        if path.startswith("/"):
            paths.setdefault(clean(path), file)
        elif socket.get("ino"):
            moved[file] = f"a moved socket of {socket.get('process')}"
            gone.append(clean(str(socket.get("name"))))
    known = moved | {
        number: f"the same socket as {path}" for path, number in reversed(paths.items()) if number
    }
    aliases = {
        path: known[same]
        for path, record in files.items()
        if clean(path) not in paths and (same := inode(record)) in known
    }
    return _Sockets(paths, aliases, tuple(gone))


@check("container-no-shared-propagation")
@needs_engine
def shared_propagation(snapshot: Snapshot) -> Verdict:
    """Check that no bind mount propagates mounts of a container to the host."""
    return every_container(
        snapshot,
        _shared_propagation,
        expected="no bind mount has shared propagation",
        only=lambda container: any(_binds(container)),
        no_subjects="no container has a bind mount",
    )


def _binds(container: Container) -> Iterator[JSONObject]:
    yield from (
        mount
        for mount in fields.rows(container.inspect, "Mounts", SOURCE)
        if mount.get("Type") == "bind" or mount.get("Propagation")
    )


def _shared_propagation(container: Container) -> Iterator[str]:
    for mount in _binds(container):
        if mount.get("Propagation") in {"shared", "rshared"}:
            yield f"mounts {mount.get('Source')} with {mount['Propagation']} propagation"


@container_check("container-readonly-rootfs", expected="every container's root filesystem is read-only")
def _readonly(container: Container) -> Iterator[str]:
    if container.host_config.get("ReadonlyRootfs") is not True:
        yield "has a writable root filesystem"
    elif container.running and root_is_writable(container):
        yield "has a writable root filesystem, although it is declared read-only"
    elif container.running:
        try:
            places = writable(container)
        except FactUnavailable as missing:
            yield Note(f"read-only; its other writable paths could not be read: {missing}")
            return
        where = listed([f"{each.path} ({each.kind})" for each in places], _PLACES)
        yield Note(f"writable paths: {where}" if places else "has no writable path")


@container_check("container-no-host-devices", expected="no container reaches a device of the host")
def _devices(container: Container) -> Iterator[str]:
    if container.privileged:
        yield "is privileged and reaches every device"
    yield from devices(container)


def devices(container: Container) -> Iterator[str]:
    """Yield a description of each host device that a container gets, by whatever option."""
    for device in fields.rows(container.host_config, "Devices", SOURCE):
        yield f"has {device.get('PathOnHost')} ({device.get('CgroupPermissions') or 'rwm'})"
    for rule in fields.texts(container.host_config, "DeviceCgroupRules", SOURCE):
        yield f"may open devices by the rule {rule!r}"
    for request in fields.rows(container.host_config, "DeviceRequests", SOURCE):
        ids = fields.texts(request, "DeviceIDs", SOURCE)
        what = ", ".join(ids) or ("all" if request.get("Count") == -1 else request.get("Count"))
        yield f"requests devices of driver {request.get('Driver') or 'any'}: {what}"
