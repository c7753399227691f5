"""Attach BPF programs with the system call bpf(2), since bpftool before 7.2 (Debian 12) cannot do that."""

from __future__ import annotations

import ctypes
import os
import struct

from ..host.errors import Failed

_CALLS = {"x86_64": 321, "aarch64": 280}
_OBJ_GET, _RAW_TRACEPOINT_OPEN = 7, 17  # include/uapi/linux/bpf.h


def attach(program: str, tracepoint: str = "") -> int:
    """Attach a program; return the descriptor of the link, which keeps it attached.

    Args:
        program: the path where it is pinned.
        tracepoint: for a raw tracepoint, its name; empty for a program that contains its target.

    Raises:
        Failed: the kernel refuses.
    """
    path = ctypes.create_string_buffer(os.fsencode(program))
    descriptor = _bpf(_OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0), program)
    try:
        name = ctypes.create_string_buffer(tracepoint.encode())
        target = ctypes.addressof(name) if tracepoint else 0
        return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QII", target, descriptor, 0), program)
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: bytes, program: str) -> int:
    machine = os.uname().machine
    if machine not in _CALLS:
        raise Failed(f"BPF programs cannot be attached on {machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    given = ctypes.create_string_buffer(attributes, len(attributes))
    found = int(libc.syscall(_CALLS[machine], command, given, len(attributes)))
    if found < 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failed(f"the BPF program {os.path.basename(program)} cannot be attached: {reason}")
    return found
