"""What of the host's filesystem and devices containers reach."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hardener.checks import check, policy, shapes
from hardener.checks.containers import SOURCE, Container, container_check, every_container
from hardener.checks.every import Note
from hardener.checks.verdicts import needs_engine
from hardener.model import Verdict
from hardener.snapshot import JSONObject, Snapshot

# Everything in these is the host's own: its system, its secrets, its devices, the sockets of its services.
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

# Sockets whose owner decides over every container, of any runtime. Whoever reaches one is root on the host.
_RUNTIME_SOCKETS = (
    "/run/buildkit/buildkitd.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
)
_ROOTLESS_SOCKET = re.compile(r"/run/user(/\d+(/docker\.sock|/podman(/podman\.sock)?)?)?")


@dataclass(frozen=True, slots=True)
class _HostMount:
    """A path of the host in a container."""

    path: str  # where it really is
    declared: str
    destination: str
    writable: bool
    socket: tuple[object, object] | None  # device and inode, of a socket

    def __str__(self) -> str:
        where = self.path if self.path == self.declared else f"{self.declared} (which is {self.path})"
        return f"mounts {where} {'read-write' if self.writable else 'read-only'} at {self.destination}"


@container_check(
    "container-no-sensitive-mounts", expected="no container mounts a system directory of the host"
)
def _sensitive(container: Container) -> Iterator[str]:
    allowed = policy.for_container(container.snapshot, "sensitive_mounts", container.name) or ()
    root = shapes.text(container.snapshot.info, "DockerRootDir", "docker.info")
    trees = (*_TREES, _clean(root)) if root else _TREES
    for mount in _host_mounts(container):
        reason = _sensitive_because(mount.path, trees)
        if not reason:
            continue
        if any(_within(mount.path, _clean(path)) for path in allowed):
            yield Note(f"policy lets it mount {mount.path}")
        else:
            yield f"{mount}{reason}"


def _sensitive_because(path: str, trees: tuple[str, ...]) -> str:
    """Why a host path is sensitive, as the end of a sentence: prefixes count in both directions."""
    for tree in trees:
        if path == tree:
            return ", a system directory"
        if _within(path, tree):
            return f", inside {tree}"
    above = [tree for tree in trees if _within(tree, path)]
    if above:
        return f", which holds {above[0]}"
    parts = path.split("/")[1:]
    # A user's whole home has keys and logins in it; a directory deeper down is often the workload's own.
    if parts[0] == "home" and (len(parts) <= 2 or ".ssh" in parts):
        return ", where users keep their keys"
    return ""


@container_check(
    "container-no-docker-sock", expected="no container reaches the API socket of a container runtime"
)
def _runtime_socket(container: Container) -> Iterator[str]:
    sockets = _sockets(container.snapshot)
    for mount in _host_mounts(container):
        reached = next((path for path, _ in sockets if _within(path, mount.path)), "")
        same = next((path for path, inode in sockets if inode and inode == mount.socket), "")
        if mount.path == (reached or same):
            yield f"{mount}, the API socket of a container runtime"
        elif reached:
            yield f"{mount}, and with it {reached}"
        elif same:
            yield f"{mount}, which is the same socket as {same}"
        elif _ROOTLESS_SOCKET.fullmatch(mount.path):
            yield f"{mount}, where rootless engines have their API socket"


def _sockets(snapshot: Snapshot) -> list[tuple[str, tuple[object, object] | None]]:
    """Paths of the runtimes' sockets on this host, each with its inode where it exists."""
    engine: JSONObject = snapshot.fact("engine")
    own = [_clean(str(engine[key])) for key in ("socket", "containerd_socket") if engine.get(key)]
    files: JSONObject = snapshot.fact("files")
    found = []
    for path in dict.fromkeys((*own, *_RUNTIME_SOCKETS)):
        record = files.get(path) or files.get(f"/var{path}")
        found.append((path, _inode(record)))
        target = record.get("target") if isinstance(record, Mapping) else None
        if isinstance(target, str) and target != path:
            found.append((_clean(target), _inode(record)))
    return found


def _host_mounts(container: Container) -> Iterator[_HostMount]:
    """What it mounts from the host: bind mounts, also those hidden in the options of a local volume."""
    for mount in shapes.rows(container.inspect, "Mounts", SOURCE):
        kind = mount.get("Type")
        # Engines before 17 say nothing of the type and name no volume for a bind mount.
        if kind == "bind" or (not kind and not mount.get("Name")):
            source = shapes.text(mount, "Source", SOURCE)
        elif kind == "volume":
            source = _volume_device(container.snapshot, shapes.text(mount, "Name", SOURCE))
        else:
            source = ""
        if not source.startswith("/"):
            continue
        record = container.snapshot.fact("files").get(source)
        target = record.get("target") if isinstance(record, Mapping) else None
        yield _HostMount(
            path=_clean(target if isinstance(target, str) and target else source),
            declared=_clean(source),
            destination=shapes.text(mount, "Destination", SOURCE),
            writable=mount.get("RW") is not False,
            socket=_inode(record),
        )


def _volume_device(snapshot: Snapshot, name: str) -> str:
    """The host path or device behind a local volume; empty for one that the engine keeps itself."""
    for volume in snapshot.fact("docker.volumes"):
        if volume.get("Name") == name:
            options = shapes.table(volume, "Options", "docker.volumes")
            return str(options.get("device") or "")
    return ""


def _inode(record: object) -> tuple[object, object] | None:
    if not isinstance(record, Mapping) or record.get("type") != "socket" or not record.get("ino"):
        return None
    return record.get("dev"), record["ino"]


def _clean(path: str) -> str:
    """One spelling for each path: no ``..``, no doubled slash, and /run for its old name /var/run."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path.removeprefix("/var") if _within(path, "/var/run") else path


def _within(path: str, tree: str) -> bool:
    return tree in {"/", path} or path.startswith(f"{tree}/")


@check("container-no-shared-propagation")
@needs_engine
def shared_propagation(snapshot: Snapshot) -> Verdict:
    """No bind mount hands mounts made in a container back to the host."""
    return every_container(
        snapshot,
        _shared_propagation,
        expected="no bind mount has shared propagation",
        only=lambda container: any(_binds(container)),
        nobody="no container has a bind mount",
    )


def _binds(container: Container) -> Iterator[JSONObject]:
    yield from (
        mount
        for mount in shapes.rows(container.inspect, "Mounts", SOURCE)
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


@container_check("container-no-host-devices", expected="no container reaches a device of the host")
def _devices(container: Container) -> Iterator[str]:
    if container.privileged:
        yield "is privileged and reaches every device"
    for device in shapes.rows(container.host_config, "Devices", SOURCE):
        yield f"has {device.get('PathOnHost')} ({device.get('CgroupPermissions') or 'rwm'})"
    for rule in shapes.texts(container.host_config, "DeviceCgroupRules", SOURCE):
        yield f"may open devices by the rule {rule!r}"
    for request in shapes.rows(container.host_config, "DeviceRequests", SOURCE):
        ids = shapes.texts(request, "DeviceIDs", SOURCE)
        what = ", ".join(ids) or ("all" if request.get("Count") == -1 else request.get("Count"))
        yield f"requests devices of driver {request.get('Driver') or 'any'}: {what}"
