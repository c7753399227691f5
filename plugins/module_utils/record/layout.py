"""The structures of the BPF objects (bpf/record.h, calls, capabilities, refusals), in bytes of this host."""

from __future__ import annotations

import struct
from typing import Any, Mapping, Tuple

from .text import shown

PHASES = (
    "start-empty",
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
)
RUNTIME = 16
SLOTS = 64  # twins that are recorded at once
_CONFIG = struct.Struct("=IIiii")
_CALLS = struct.Struct("=Q16sBB6x")
_EXEC = struct.Struct("=Q16s256s")
_CAPSET = struct.Struct("=Q16sQQQ")
_SOCKET = struct.Struct("=Q16sHB5x")
_CAPABILITY = struct.Struct("=Q16siBBBB")
_REFUSAL = struct.Struct("=Q16siHBB")
_WORDS = struct.Struct("=16Q")
_NAME = 64
# capset, socket, connect. On another machine nothing is seen of what they are asked for.
_NUMBERS = {"x86_64": (126, 41, 42), "aarch64": (91, 198, 203)}

Entry = Tuple[bytes, bytes]


def config(phase: int, *, unfiltered: bool, machine: str) -> bytes:
    """The settings that the objects read."""
    return _CONFIG.pack(phase, int(unfiltered), *_NUMBERS.get(machine, (-1, -1, -1)))


def container_name(identity: str) -> bytes:
    """A container's id, as a key of the names that are looked for."""
    return identity.encode("ascii")[:_NAME].ljust(_NAME, b"\0")


def calls(entries: list[Entry]) -> list[dict[str, Any]]:
    """System calls: numbers by cgroup, program, phase and kind."""
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
    """Executed programs: the path that was asked for, and the program's name."""
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
    """The sets that programs asked for."""
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
    """Families of sockets that were made, and of addresses that were connected to."""
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
    """Capability checks that were granted, with the system call that they were made in."""
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


def refusals(entries: list[Entry]) -> list[dict[str, Any]]:
    """System calls that were refused: by the filter, or by the kernel for want of a right."""
    found = []
    for key, _value in entries:
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
            }
        )
    return found


def slot(number: int) -> bytes:
    """What a wanted container's name leads to."""
    return bytes([number + 1])


def wanted(entries: list[Entry], number: int) -> set[int]:
    """The cgroups that were found to be those of a slot's containers."""
    return {struct.unpack("=Q", key)[0] for key, value in entries if value == slot(number)}


def losses(entries: list[Entry]) -> Mapping[str, int]:
    """What had no room, and how often."""
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
