"""A file system whose program belongs to a user (FUSE), and says that root owns everything on it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import limits

from tests.unit.processes import child

NEEDS_FUSE = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="mounting needs root, and FUSE"
)

_NEW_MOUNTS, _PRIVATE = 0x20000, (1 << 18) | (1 << 14)  # CLONE_NEWNS; MS_PRIVATE and MS_REC
_ROOT, _LINK, _FOLDER, _INNER = 1, 2, 3, 4
_TREE = {  # node: mode, and the nodes in it by name
    _ROOT: (stat.S_IFDIR | 0o755, {b"ca.crt": _LINK, b"folder": _FOLDER}),
    _LINK: (stat.S_IFLNK | 0o777, {}),
    _FOLDER: (stat.S_IFDIR | 0o755, {b"ca.crt": _LINK, b"inner": _INNER}),
    _INNER: (stat.S_IFDIR | 0o1777, {b"ca.crt": _LINK}),
}
_LOOKUP, _FORGET, _GETATTR, _READLINK, _INIT = 1, 2, 3, 5, 26  # linux/fuse.h
_REQUEST = struct.Struct("<IIQQIIII")


def _attributes(node: int) -> bytes:
    return struct.pack("<6Q10I", node, 9, 0, 0, 0, 0, 0, 0, 0, _TREE[node][0], 1, 0, 0, 0, 4096, 0)


def _answer(operation: int, node: int, more: bytes, target: bytes) -> bytes | None:
    if operation == _INIT:
        return struct.pack("<IIIIHHII", 7, 23, 0, 0, 0, 0, 4096, 1) + bytes(36)
    if operation == _LOOKUP:
        found = _TREE[node][1].get(more.rstrip(b"\0"))
        return struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + _attributes(found) if found else None
    if operation == _GETATTR:
        return struct.pack("<QII", 0, 0, 0) + _attributes(node)
    return target if operation == _READLINK else None


def _serve(device: int, target: bytes) -> None:
    while True:
        request = os.read(device, 1 << 17)
        _, operation, number, node, *_ = _REQUEST.unpack_from(request)
        if operation != _FORGET:
            answer = _answer(operation, node, request[_REQUEST.size :], target)
            missing = errno.ENOENT if operation == _LOOKUP else errno.ENOSYS
            error = -missing if answer is None else 0
            os.write(device, struct.pack("<IiQ", 16 + len(answer or b""), error, number) + (answer or b""))


def on_a_mount_of(user: int, folder: Path, target: Path, work: Callable[[], str]) -> str:
    """What a function returns, in mount namespace of its own with such a file system on a folder."""
    reader, writer = os.pipe()

    def in_namespace() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={device},rootmode=40000,user_id={user},group_id={user},allow_other,default_permissions"
        assert libc.unshare(_NEW_MOUNTS) == 0
        assert libc.mount(b"none", b"/", None, _PRIVATE, None) == 0
        assert libc.mount(b"eve", os.fsencode(folder), b"fuse.eve", 0, options.encode()) == 0
        parent = os.getpid()

        def server() -> None:
            limits.become_helper(parent, 60)
            _serve(device, os.fsencode(target))

        serving = child(server)
        try:
            os.write(writer, work().encode())
        finally:
            os.kill(serving, signal.SIGKILL)

    pid = child(in_namespace)
    os.close(writer)
    with os.fdopen(reader) as text:
        said = text.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return said
