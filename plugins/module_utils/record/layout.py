"""Decode the structures of the BPF objects (bpf/record.h, calls, capabilities, opens, refusals)."""

from __future__ import annotations

import struct
from typing import Any, Mapping, Tuple

from ..host.text import shown

PHASES = (
    "start-empty",
    "serve-empty",
    "start-used",
    "health-check",
    "exec",
    "serve",
    "reload",
    "crash-restart",
    "stop",
)
LOSSES = (
    "system calls",
    "capability checks",
    "executed programs",
    "capset calls",
    "sockets",
    "unknown calls",
    "files that were read",
    "uses of files",
)
READ, USED = LOSSES[-2:]
RUNTIME = 16
SLOTS = 64  # twins that can be recorded at once
_CONFIG = struct.Struct("=II4i4i")
_CALLS = struct.Struct("=Q16sBB6x")
_EXEC = struct.Struct("=Q16s256s")
_CAPSET = struct.Struct("=Q16sQQQ")
_SOCKET = struct.Struct("=Q16sHB5x")
_CAPABILITY = struct.Struct("=Q16siBBBB")
_READ = struct.Struct("=BB6x256s")
_USE = struct.Struct("=16sB7x256s")
_REFUSAL = struct.Struct("=Q16siHBB")
_WORDS = struct.Struct("=16Q")
_NAME = 64
# capset, socket, connect and socketcall: of the machine, and of its 32-bit programs. On other machines their
# arguments are not recorded.
NUMBERS = {
    "x86_64": (126, 41, 42, -1, 185, 359, 362, 102),
    "aarch64": (91, 198, 203, -1, 185, 281, 283, -1),
}

Entry = Tuple[bytes, bytes]


def config(phase: int, *, unfiltered: bool, machine: str) -> bytes:
    """Return the settings for the BPF objects."""
    return _CONFIG.pack(phase, int(unfiltered), *NUMBERS.get(machine, (-1,) * 8))


def container_name(identity: str) -> bytes:
    """Return a container's id in the form of a key of the BPF map of recorded containers."""
    return identity.encode("ascii")[:_NAME].ljust(_NAME, b"\0")


def calls(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode system calls: numbers by cgroup, program, phase and kind."""
    found = []
    for key, value in entries:
        cgroup, comm, phase, kind = _CALLS.unpack(key)
        words = _WORDS.unpack(value)
        numbers = [at * 64 + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1]
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "phase": phase,
                "kind": kind & ~RUNTIME,
                "runtime": bool(kind & RUNTIME),
                "numbers": numbers,
            }
        )
    return found


def execs(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode executed programs: the requested path, and the program's name."""
    found = []
    for key, value in entries:
        cgroup, comm, path = _EXEC.unpack(key)
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "path": path.partition(b"\0")[0],
                "phases": _phases(value),
            }
        )
    return found


def capsets(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode the capability sets that programs requested."""
    found = []
    for key, value in entries:
        cgroup, comm, effective, permitted, inheritable = _CAPSET.unpack(key)
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "effective": effective,
                "permitted": permitted,
                "inheritable": inheritable,
                "phases": _phases(value),
            }
        )
    return found


def sockets(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode address families of created sockets and of connections."""
    found = []
    for key, value in entries:
        cgroup, comm, family, what = _SOCKET.unpack(key)
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "family": family,
                "connect": what == 1,
                "phases": _phases(value),
            }
        )
    return found


def capabilities(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode granted capability checks, with the system call in which they were made."""
    found = []
    for key, _value in entries:
        cgroup, comm, number, capability, phase, kind, level = _CAPABILITY.unpack(key)
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "number": number,
                "capability": capability,
                "phase": phase,
                "kind": kind,
                "level": level,
            }
        )
    return found


def reads(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode files and folders that were opened to read."""
    found = []
    for key, _value in entries:
        given, folder, path = _READ.unpack(key)
        found.append({"slot": given - 1, "path": path.partition(b"\0")[0], "folder": bool(folder)})
    return found


def uses(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode the phases in which programs opened files to write or to execute them."""
    found = []
    for key, value in entries:
        comm, given, path = _USE.unpack(key)
        found.append(
            {
                "slot": given - 1,
                "program": _text(comm),
                "path": path.partition(b"\0")[0],
                "written": _phases(value[:4]),
                "executed": _phases(value[4:]),
            }
        )
    return found


def refusals(entries: list[Entry]) -> list[dict[str, Any]]:
    """Decode refused system calls: by the filter, or by the kernel because of a missing right."""
    found = []
    for key, value in entries:
        cgroup, comm, number, error, kind, by = _REFUSAL.unpack(key)
        found.append(
            {
                "cgroup": cgroup,
                "program": _text(comm),
                "number": number,
                "error": error,
                "kind": kind & ~RUNTIME,
                "runtime": bool(kind & RUNTIME),
                "by_filter": by == 1,
                "times": struct.unpack("=Q", value)[0],
            }
        )
    return found


def slot(number: int) -> bytes:
    """Return the value for a slot in the BPF map of recorded containers."""
    return bytes([number + 1])


def wanted(entries: list[Entry], number: int) -> set[int]:
    """Return the cgroups that belong to a slot's containers."""
    return {struct.unpack("=Q", key)[0] for key, value in entries if value == slot(number)}


def losses(entries: list[Entry]) -> Mapping[str, int]:
    """Decode the kinds of lost observations (a full map), and their numbers."""
    counts = {}
    for key, value in entries:
        at, count = struct.unpack("=I", key)[0], struct.unpack("=Q", value)[0]
        if count and at < len(LOSSES):
            counts[LOSSES[at]] = count
    return counts


def _phases(value: bytes) -> list[int]:
    bits = struct.unpack("=I", value)[0]
    return [at for at in range(32) if bits >> at & 1]


def _text(comm: bytes) -> str:
    return shown(comm.partition(b"\0")[0]) or "?"
