"""Attach the BPF objects and read their counts with bpftool.

Everything is pinned in a file system that exists only in this process's mount namespace. When the process
ends for any reason, the kernel removes both, and detaches the programs.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from abc import ABC, abstractmethod
from typing import Any, Mapping

from ..host.errors import Failed, describe
from ..host.run import find_program, run
from . import layout, tools

_BPFFS = "/sys/fs/bpf"  # a folder that exists on every kernel with BPF
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8
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


def problem(*, install: bool = False) -> str:
    """Return why programs cannot be attached on this host; empty if they can.

    Args:
        install: whether bpftool may be fetched if it is missing.
    """
    if os.geteuid() != 0:
        return "only root may attach programs to the kernel"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "the kernel has no type information (/sys/kernel/btf/vmlinux)"
    if unified_cgroups() is None:
        return "there is no cgroup hierarchy of version 2"
    return tools.missing(install=install)


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
        Failed: the programs cannot be attached.
    """

    def __init__(self, objects: Mapping[str, bytes], *, fetch_into: str = "") -> None:
        reason = problem(install=bool(fetch_into))
        if reason:
            raise Failed(reason)
        self._tool = tools.NAME
        self.problems: list[str] = []
        self._maps: dict[str, str] = {}  # where each is pinned: with the first object that has it
        _leave_mounts()
        if find_program(tools.NAME) is None:
            _mount("tmpfs", fetch_into, "mode=0700", executable=True)
            self._tool = tools.fetch(fetch_into)
        _mount("bpf", _BPFFS, "mode=0700")
        self._attach(objects)

    @abstractmethod
    def _attach(self, objects: Mapping[str, bytes]) -> None:
        """Load and attach the counting programs."""

    def _load(self, name: str, content: bytes) -> None:
        """Load and attach an object; maps of earlier objects are shared."""
        descriptor = os.memfd_create(name)
        try:
            os.write(descriptor, content)
            words = ["prog", "loadall", f"/proc/{os.getpid()}/fd/{descriptor}", f"{_BPFFS}/{name}"]
            for each in _SHARED:
                if each in self._maps:
                    words += ["map", "name", each, "pinned", self._maps[each]]
            run(self._tool, *words, "pinmaps", f"{_BPFFS}/{name}-maps", "autoattach", timeout=_TIMEOUT)
        finally:
            os.close(descriptor)
        for each in os.listdir(f"{_BPFFS}/{name}-maps"):
            self._maps.setdefault(each, f"{_BPFFS}/{name}-maps/{each}")

    def want(self, identity: str, slot: int = 0) -> None:
        """Start to count a container, which may not have started yet.

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
        """Return the cgroups that the containers of a slot had."""
        return layout.wanted(self._dump("cgroups"), slot)

    def losses(self) -> Mapping[str, int]:
        """Return the numbers of observations lost because a map was full."""
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
    """Counts the events of wanted containers by phase."""

    def _attach(self, objects: Mapping[str, bytes]) -> None:
        self.capabilities_by = ""  # "tracepoint" or "fexit"
        self._load("calls", objects["calls.bpf.o"])
        for way in ("tracepoint", "fexit"):
            try:
                self._load("capabilities", objects[f"capabilities_{way}.bpf.o"])
            except Failed as error:
                self.problems.append(describe(error))
                continue
            self.capabilities_by = way
            self.problems = []
            return

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Return all counts, by map."""
        return {name: self.read_one(name) for name in _READERS}

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
        """Return all refused calls."""
        return layout.refusals(self._dump("refusals"))


def _leave_mounts() -> None:
    """Leave the mount namespace of the host."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "cannot leave the mount namespace")
    # Not private: an unmount on the host must reach this namespace, or the device stays busy.
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "cannot separate the mounts")


def _mount(kind: str, folder: str, options: str, *, executable: bool = False) -> None:
    """Mount a file system that only this process sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_NOSUID | _MS_NODEV | (0 if executable else _MS_NOEXEC)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = kind.encode()
    _check(
        libc.mount(name, os.fsencode(folder), name, flags, options.encode()),
        f"cannot mount a file system ({kind})",
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")


def _hex(data: bytes) -> list[str]:
    return [f"{byte:02x}" for byte in data]


def _bytes(words: list[str]) -> bytes:
    return bytes(int(word, 16) for word in words)
