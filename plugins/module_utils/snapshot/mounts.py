"""Read the mounts of the host, as PID 1 sees them, and of containers."""

from __future__ import annotations

import os
import re

from ..docker.runtimes import HIDDEN, KEPT, KERNEL_MOUNTS
from ..host.read import read_text
from ..host.text import printable_path

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any, Callable

    # Mount point, its path in the kernel's trees, read-only.
    Covers = tuple[tuple[str, tuple[str, bool]], ...]

MAX_MOUNTS = 1024  # per container
_OCTAL = re.compile(r"\\([0-7]{3})")
_LAYERS = ("lowerdir", "lowerdir+", "datadir+", "upperdir")
_ESCAPED = re.compile(r"\\(.)")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of an IPC namespace
_KERNEL_TREES = {"proc": "/proc", "sysfs": "/sys"}


def read(*, layers: bool = True) -> list[dict[str, Any]]:
    """Return the source `mounts`.

    Args:
        layers: whether the folders of overlays are read too.
    """
    try:
        text = read_text("/proc/1/mountinfo")
    except PermissionError:
        text = read_text("/proc/self/mountinfo")
    return parse(text, lambda _mount: layers)


def parse(text: str, layered: Callable[[dict[str, Any]], bool] = lambda _mount: True) -> list[dict[str, Any]]:
    """Parse mountinfo: see proc_pid_mountinfo(5).

    Args:
        text: its content.
        layered: tells the overlays whose folders are read too.
    """
    return [mount for mount in (_mount(line, layered) for line in text.split("\n")) if mount]


def dated(mounts: list[dict[str, Any]], times: dict[str, int]) -> list[dict[str, Any]]:
    """Return mounts with the time at which systemd saw them; it does not see a second one at the same place.

    Args:
        mounts: of the host.
        times: microseconds after the boot, by mount point.
    """
    here: dict[str, list[dict[str, Any]]] = {}
    for mount in mounts:
        here.setdefault(mount["mount_point"], []).append(mount)
    once = {point for point, found in here.items() if len(found) == 1 and point in times}
    return [
        {**mount, "since": times[mount["mount_point"]]} if mount["mount_point"] in once else mount
        for mount in mounts
    ]


def in_container(
    text: str, destinations: tuple[str, ...], known: frozenset[str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return mounts of a container that may lead to the host, and whether there are too many.

    Args:
        text: its mountinfo.
        destinations: requested mount points.
        known: devices of the host's mounts, except for the one at /dev.
    """
    # Not splitlines(): the kernel escapes "\n" in names, but no other character at which that breaks lines.
    rows = [line.split(" ", 5) for line in text.split("\n")]
    wanted, parents = set(), {}
    for row in rows:
        if len(row) < 6:
            continue
        parents[row[0]] = row[1]
        point, fstype = _unescaped(row[4]), row[5].partition(" - ")[2].partition(" ")[0]
        own = point == "/" or _below(point, KERNEL_MOUNTS.get(fstype, ()))
        if fstype == "tmpfs" and row[2] in known and point != _SHARED_MEMORY:
            own = False  # the runtime makes new ones, except for the memory that an IPC namespace shares
        if not own or _below(point, destinations):
            wanted.add(row[0])
    waiting = list(wanted)
    while waiting:  # a mount is visible through its parent mounts
        parent = parents.get(waiting.pop())
        if parent is not None and parent not in wanted:
            wanted.add(parent)
            waiting.append(parent)
    kept = [" ".join(row) for row in rows if row[0] in wanted]
    found = parse(
        "\n".join(kept[:MAX_MOUNTS]),
        lambda mount: mount["device"] not in known and mount["mount_point"] != "/",
    )
    return found, len(kept) > MAX_MOUNTS


def of_the_kernel(text: str, exposed: Callable[[Covers], list[str]]) -> dict[str, Any]:
    """Return access to the kernel's files: whether cgroups are writable, and which paths are exposed.

    Args:
        text: mountinfo of a container.
        exposed: the function of this name, or one that remembers its answers.
    """
    cgroups = False
    covers: dict[str, tuple[str, bool]] = {}
    for line in text.split("\n"):
        fields = line.split(" ", 6)
        fstype = line.partition(" - ")[2].partition(" ")[0]
        if len(fields) < 7:
            continue
        read_only = "ro" in fields[5].split(",")
        if fstype in ("cgroup", "cgroup2") and not read_only:
            cgroups = True
        tree = _KERNEL_TREES.get(fstype, "")
        root = _unescaped(fields[3])
        covers[_unescaped(fields[4])] = (tree and (tree if root == "/" else tree + root), read_only)
    return {"cgroup_writable": cgroups, "open_paths": exposed(tuple(covers.items()))}


def exposed(mounts: Covers) -> list[str]:
    """Return the paths of the kernel that a container with these mounts can use.

    A path of `HIDDEN` is exposed if nothing is mounted over it, one of `KEPT` if the mount there is writable:
    wherever the container has a file system of the kernel, and whichever part of it.
    """
    covers = dict(mounts)
    shown = [(point, tree, read_only) for point, (tree, read_only) in mounts if tree]
    found = [
        place
        for path in HIDDEN
        for point, tree, _read_only in shown
        for place in _places(path, point, tree, covers)
    ]
    found += [
        place
        for path in KEPT
        for point, tree, read_only in shown
        if not read_only
        for place in _places(path, point, tree, covers)
    ]
    return list(dict.fromkeys(found))


def _places(path: str, point: str, tree: str, covers: dict[str, tuple[str, bool]]) -> list[str]:
    """Return where a mount shows a path of the kernel, or a part of it, if nothing is mounted over it.

    Args:
        path: such as `/proc/sys`.
        point: the mount point.
        tree: what is mounted there: `/proc`, `/proc/sys/kernel`.
        covers: the mounts of the container.
    """
    if _below(tree, (path,)):
        return [point] if os.path.exists(tree) else []
    if not _below(path, (tree,)) or not os.path.exists(path):
        return []
    place = above = point.rstrip("/") + path[len(tree) :]
    while above != point:
        if above in covers:
            return []
        above = os.path.dirname(above)
    return [place]


def _mount(line: str, layered: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    fixed, _separator, rest = line.partition(" - ")
    fields, tail = fixed.split(" "), rest.split(" ")
    if len(fields) < 6 or len(tail) < 2:
        return None
    tags = [tag.partition(":")[0] for tag in fields[6:]]
    slave, shared = "master" in tags, "shared" in tags
    propagation = "unbindable" if "unbindable" in tags else "private"
    if shared or slave:
        propagation = "shared,slave" if shared and slave else "shared" if shared else "slave"
    mount = {
        "id": int(fields[0]),
        "parent": int(fields[1]),
        "mount_point": _unescaped(fields[4]),
        "root": _unescaped(fields[3]),
        "device": fields[2],
        "fstype": tail[0],
        "source": _unescaped(tail[1]),
        "options": fields[5],
        "propagation": propagation,
    }
    if tail[0] == "proc" and len(tail) > 2:
        hides = [option for option in tail[2].split(",") if option.startswith(("hidepid=", "gid="))]
        if hides:
            mount["hides"] = hides
    if tail[0] == "overlay" and len(tail) > 2 and layered(mount):
        mount["layers"] = [_real(folder) for folder in layers(tail[2])]
    return mount


def _real(path: str) -> str:
    """Resolve symbolic links, with fewer calls than `realpath`; a broken link stays as it is."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC) if path.startswith("/") else -1
    except OSError:
        return path
    if descriptor < 0:
        return path
    try:
        return printable_path(os.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


def layers(options: str) -> list[str]:
    """Return the folders of an overlay from its options."""
    found = []
    for option in options.split(","):
        key, _separator, value = option.partition("=")
        if key in _LAYERS:
            value = _unescaped(value)
            folders = re.split(r"(?<!\\):+", value) if key == "lowerdir" else [value]
            found += [_ESCAPED.sub(r"\1", folder) for folder in folders if folder]
    return found


def _below(point: str, folders: tuple[str, ...]) -> bool:
    return point in folders or point.startswith(tuple([f"{folder.rstrip('/')}/" for folder in folders]))


def _unescaped(text: str) -> str:
    """Decode the octal escapes (space, tab, newline, backslash) of a path."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text) if "\\" in text else text
