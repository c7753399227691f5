"""Attach the BPF objects and read their counts with bpftool.

Everything is pinned in a file system that exists only in the mount namespace of this process, and only this
process has links that keep programs attached. When it ends for any reason, the kernel removes all of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Mapping

from ..host.errors import Failed, describe
from ..host.run import run
from . import layout, tools

TYPES = "/sys/kernel/btf/vmlinux"
_BPFFS = "/sys/fs/bpf"  # a folder that exists on every kernel with BPF
# Where programs are attached that do not contain their target.
_TRACEPOINTS = {"on_call": "sys_enter", "on_return": "sys_exit", "on_exec": "sched_process_exec"}
_SHARED = ("config", "wanted", "cgroups", "losses", "programs")
_TIMEOUT = 60
_MAX_DUMP = 64 << 20
_READERS = {
    "calls": layout.calls,
    "execs": layout.execs,
    "capsets": layout.capsets,
    "sockets": layout.sockets,
    "capabilities": layout.capabilities,
}
_CALLS = {"x86_64": 321, "aarch64": 280}
_OBJ_GET, _RAW_TRACEPOINT_OPEN = 7, 17  # include/uapi/linux/bpf.h


def unusable() -> str:
    """Return why this host accepts no BPF programs that count by container; empty if it accepts them."""
    if os.geteuid() != 0:
        return "only root may attach programs to the kernel"
    if unified_cgroups() is None:
        return "there is no cgroup hierarchy of version 2"
    if not os.path.exists(TYPES):
        return f"the kernel has no type information ({TYPES})"
    return ""


def unified_cgroups() -> str | None:
    """Return the mount point of the cgroup v2 tree."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields, _separator, rest = line.partition(" - ")
            if rest.startswith("cgroup2 "):
                return fields.split()[4]
    return None


class Programs(ABC):
    """Programs attached to the kernel, and the maps that they share with this process.

    Creating one moves the process to a new mount namespace.

    Args:
        objects: file name to content.
        fetch_into: a folder for a bpftool that is fetched if the host has none; empty to fetch none.

    Raises:
        Absent: there is no bpftool, and none may be fetched.
        Failed: the programs cannot be attached.
    """

    def __init__(self, objects: Mapping[str, bytes], *, fetch_into: str = "") -> None:
        reason = unusable()
        if reason:
            raise Failed(reason)
        self._maps: dict[str, str] = {}  # where each is pinned: with the first object that has it
        tools.leave()
        self._tool = tools.provide(fetch_into)
        tools.mount("bpf", _BPFFS)
        self._attach(objects)

    @abstractmethod
    def _attach(self, objects: Mapping[str, bytes]) -> None:
        """Load and attach the counting programs."""

    def _load(self, name: str, content: bytes, tracepoints: Mapping[str, str] | None = None) -> None:
        """Load an object and attach its programs; maps of earlier objects are shared.

        Args:
            name: of its folder.
            content: of its file.
            tracepoints: names of raw tracepoints, by program; None for the usual ones.
        """
        descriptor = os.memfd_create(name)
        try:
            os.write(descriptor, content)
            words = ["prog", "loadall", f"/proc/{os.getpid()}/fd/{descriptor}", f"{_BPFFS}/{name}"]
            for each in _SHARED:
                if each in self._maps:
                    words += ["map", "name", each, "pinned", self._maps[each]]
            run(self._tool, *words, "pinmaps", f"{_BPFFS}/{name}-maps", timeout=_TIMEOUT)
        finally:
            os.close(descriptor)
        for each in os.listdir(f"{_BPFFS}/{name}"):
            target = (_TRACEPOINTS if tracepoints is None else tracepoints).get(each, "")
            attach(f"{_BPFFS}/{name}/{each}", target)  # until this process ends
        for each in os.listdir(f"{_BPFFS}/{name}-maps"):
            self._maps.setdefault(each, f"{_BPFFS}/{name}-maps/{each}")

    def want(self, identity: str, slot: int = 0) -> None:
        """Start to count the events of a container, which may not have started yet.

        Args:
            identity: its id.
            slot: the slot with its settings; each recorded twin has its own.
        """
        self._update("wanted", layout.container_name(identity), layout.slot(slot))

    def forget(self, identity: str) -> None:
        """Stop looking for a container that was removed."""
        key = _hex(layout.container_name(identity))
        run(self._tool, "map", "delete", "pinned", self._maps["wanted"], "key", "hex", *key)

    def phase(self, name: str, *, unfiltered: bool = False, slot: int = 0) -> None:
        """Count events for this phase from now on; ``unfiltered``: the containers have no seccomp filter."""
        settings = layout.config(layout.PHASES.index(name), unfiltered=unfiltered, machine=os.uname().machine)
        self._update("config", struct.pack("=I", slot), settings)

    def cgroups(self, slot: int = 0) -> set[int]:
        """Return the numbers of the cgroups of a slot's containers, as in the result of ``read``."""
        return layout.wanted(self._dump("cgroups"), slot)

    def _lost(self) -> Mapping[str, int]:
        """Return the kinds of events that were lost because a map was full, and their numbers."""
        return layout.losses(self._dump("losses"))

    def _update(self, name: str, key: bytes, value: bytes) -> None:
        words = ["key", "hex", *_hex(key), "value", "hex", *_hex(value)]
        run(self._tool, "map", "update", "pinned", self._maps[name], *words)

    def _dump(self, name: str) -> list[layout.Entry]:
        words = ("-j", "map", "dump", "pinned", self._maps[name])
        text = run(self._tool, *words, timeout=_TIMEOUT, limit=_MAX_DUMP)
        try:
            return [(_bytes(entry["key"]), _bytes(entry["value"])) for entry in json.loads(text)]
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(f"bpftool's answer cannot be read: {error}") from None


class Recorder(Programs):
    """Counts the events of wanted containers by phase.

    Attributes:
        capabilities_by: how capability checks are counted: ``tracepoint``, ``fexit``; empty if they are not.
        problems: what keeps it from counting everything.
    """

    capabilities_by = ""

    def _attach(self, objects: Mapping[str, bytes]) -> None:
        self.problems: list[str] = []
        self._load("calls", objects["calls.bpf.o"])
        with suppress(Failed):  # the kernel cannot attach to the end of a function
            self._load("opens", objects["opens.bpf.o"], {})
        for way, tracepoints in (("tracepoint", {"on_check": "cap_capable"}), ("fexit", {})):
            try:  # the first can be loaded everywhere, and attached by new kernels only
                self._load(f"capabilities-{way}", objects[f"capabilities_{way}.bpf.o"], tracepoints)
            except Failed as error:
                self.problems.append(describe(error))
                continue
            self.capabilities_by = way
            self.problems = []
            return

    def losses(self) -> list[str]:
        """Return the observations that were lost because a map was full."""
        return [
            f"{count} of the {what} were lost, because a map was full"
            for what, count in self._lost().items()
            if what not in (layout.READ, layout.USED)
        ]

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Return all counts, by map: ``calls``, ``execs``, ``capsets``, ``sockets``, ``capabilities``."""
        return {name: self.read_one(name) for name in _READERS}

    def reads(self) -> list[dict[str, Any]] | None:
        """Return the files that were opened to read; None if the kernel cannot tell, or if some were lost."""
        return layout.reads(self._dump("reads")) if self._has("reads", layout.READ) else None

    def uses(self) -> list[dict[str, Any]] | None:
        """Return who opened files to write or execute; None if the kernel cannot tell or lost some."""
        return layout.uses(self._dump("uses")) if self._has("uses", layout.USED) else None

    def _has(self, name: str, what: str) -> bool:
        """Return whether the kernel has a map, and lost nothing of what it counts."""
        return name in self._maps and what not in self._lost()

    def read_one(self, name: str) -> list[dict[str, Any]]:
        """Return the counts of one map."""
        if name == "capabilities" and not self.capabilities_by:
            return []
        return _READERS[name](self._dump(name))


class Refusals(Programs):
    """Counts the refused system calls of wanted containers."""

    def _attach(self, objects: Mapping[str, bytes]) -> None:
        self._load("refusals", objects["refusals.bpf.o"])

    def read(self) -> list[dict[str, Any]]:
        """Return all refused calls.

        Raises:
            Failed: some were lost, because a map was full: without them, a verdict would say too much.
        """
        lost = sum(self._lost().values())
        if lost:
            raise Failed(f"{lost} refused calls were lost, because there were too many kinds of them")
        return layout.refusals(self._dump("refusals"))


def _hex(data: bytes) -> list[str]:
    return [f"{byte:02x}" for byte in data]


def _bytes(words: list[str]) -> bytes:
    return bytes(int(word, 16) for word in words)


def attach(program: str, tracepoint: str = "") -> int:
    """Attach a program; return the descriptor of the link, which keeps it attached.

    It uses the system call bpf(2), since bpftool before 7.2 (Debian 12) cannot attach programs.

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
