"""What a container can look up of the host, seen from inside: sockets, marked files, the host's disk."""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IFBLK, S_ISDIR, S_ISREG, S_ISSOCK
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.host.processes import MOUNT, enter

from tests.integration.dockerd import Dockerd

_OPEN_TREE, _MOVE_MOUNT = 428, 429  # on every architecture
_HERE, _OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = -100, 1, 4
_LIBC = ctypes.CDLL(None, use_errno=True)
_DEEPEST = 10
_NEVER_READ = 1 << 16  # bytes: no marked file but the one that is known by its inode is larger


@dataclass
class Machine:
    """The host of the cases: this machine, with filesystems of its own over some folders."""

    engine: Dockerd
    words: set[str] = field(default_factory=set)  # names that a search from inside looks at
    texts: dict[bytes, str] = field(default_factory=dict)  # content of a marked file to its path
    inodes: dict[tuple[int, int], str] = field(default_factory=dict)  # the same by inode and size
    sockets: set[int] = field(default_factory=set)  # inodes
    disks: list[int] = field(default_factory=list)  # devices that filesystems of the host are on

    def mark(self, path: Path) -> None:
        """Make a file that no container may see."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(16).hex().encode())
        self.know(path)

    def know(self, path: Path) -> None:
        """Remember a file that no container may see."""
        self.words |= set(path.parts)
        if path.stat().st_size <= _NEVER_READ:
            self.texts[path.read_bytes()] = str(path)
        else:
            self.inodes[path.stat().st_ino, path.stat().st_size] = str(path)


@dataclass(frozen=True)
class Reached:
    """What a container reaches of the host."""

    socket: bool = False  # one of the engine's
    dead: bool = False  # one that takes no connection: in a layer of an overlay
    files: frozenset[str] = frozenset()
    disk: bool = False
    follows: bool = False  # the root folders of the host's processes


def graft(pid: int, source: str, target: str) -> bool:
    """Mount a folder of the host in a container that runs, as a hook of the runtime can."""
    tree = _LIBC.syscall(_OPEN_TREE, _HERE, source.encode(), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if tree < 0:
        return False
    child = os.fork()
    if child == 0:
        try:
            enter(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), MOUNT)
            Path(target).mkdir()
            moved = _LIBC.syscall(_MOVE_MOUNT, tree, b"", _HERE, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
            os._exit(0 if moved == 0 else 1)
        finally:
            os._exit(1)
    os.close(tree)
    return os.waitpid(child, 0)[1] == 0


def seen_inside(pid: int, machine: Machine) -> dict[str, Any]:
    """What a container's process can look up: the engine's sockets, marked files of the host, its disk."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            disk = _opens_disk(pid, machine)
            enter(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), MOUNT)
            found = list(search("/", machine, 0))
            os.write(writer, json.dumps([disk, found[:200]]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        disk, found = json.loads(pipe.read())
    os.waitpid(child, 0)
    files = frozenset(found) - {"socket", "dead"}
    return {"disk": disk, "socket": "socket" in found, "dead": "dead" in found, "files": files}


def _opens_disk(pid: int, machine: Machine) -> bool:
    """Whether a container's cgroup lets this process open a disk, which is in that cgroup afterwards."""
    handles = []
    for number in machine.disks:
        node = Path(f"/run/disk-{os.getpid()}")
        os.mknod(node, S_IFBLK | 0o600, number)
        handles.append(os.open(node, os.O_PATH))
        node.unlink()
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    first = next((line for line in lines if ":devices:" in line), lines[-1])
    tree = "/sys/fs/cgroup/devices" if ":devices:" in first else "/sys/fs/cgroup"
    Path(f"{tree}{first.split(':', 2)[2]}/cgroup.procs").write_text(str(os.getpid()))
    return any(
        _opens(f"/proc/self/fd/{handle}", how) for handle in handles for how in (os.O_RDONLY, os.O_WRONLY)
    )


def _opens(path: str, how: int) -> bool:
    try:
        os.close(os.open(path, how))
    except PermissionError:
        return False
    except OSError:  # a disk that can only be read
        return True
    return True


def search(folder: str, machine: Machine, depth: int) -> Iterator[str]:
    """The sockets and marked files below a folder."""
    try:
        entries = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return
    for entry in entries:
        path = f"{folder.rstrip('/')}/{entry}"
        if folder == "/" and entry in {"proc", "sys"}:
            continue
        try:
            status = os.lstat(path)
        except OSError:
            continue
        yield from _recognised(path, status, machine)
        top = folder in {"/", "/dev"} and entry.startswith(("d", "h"))
        if S_ISDIR(status.st_mode) and depth < _DEEPEST and (entry in machine.words or top):
            yield from search(path, machine, depth + 1)


def _recognised(path: str, status: os.stat_result, machine: Machine) -> Iterator[str]:
    if S_ISSOCK(status.st_mode) and status.st_ino in machine.sockets:
        yield "socket" if _connects(path) else "dead"
    elif S_ISREG(status.st_mode):
        known = machine.inodes.get((status.st_ino, status.st_size))
        if known is None and status.st_size in {len(text) for text in machine.texts}:
            with suppress(OSError), Path(path).open("rb") as file:
                known = machine.texts.get(file.read(_NEVER_READ))
        if known:
            yield known


def _connects(path: str) -> bool:
    folder, name = os.path.split(path)
    with chdir(folder), socket.socket(socket.AF_UNIX) as client:  # the address may have 107 characters
        try:
            client.connect(name)
        except ConnectionRefusedError:
            return False
        return True
