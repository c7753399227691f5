"""Attach the BPF objects and read what they have counted, by bpftool.

All that is pinned is in a file system that exists in this process's own mount namespace only. When the
process ends, however it ends, the kernel removes both, and the programs with them: nothing can stay attached.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Mapping

from ..host.errors import Failed, describe
from ..host.run import find_program, run
from . import layout

_BPFFS = "/sys/fs/bpf"  # a folder that every kernel with BPF has
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8
_SHARED = ("config", "wanted", "cgroups", "losses")
_TIMEOUT = 60
_MAX_DUMP = 64 << 20
_READERS = {
    "calls": layout.calls,
    "execs": layout.execs,
    "capsets": layout.capsets,
    "sockets": layout.sockets,
    "capabilities": layout.capabilities,
}


def problem() -> str:
    """Why programs cannot be attached on this host; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "only root may attach programs to the kernel"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "the kernel does not tell its types (no /sys/kernel/btf/vmlinux)"
    if find_program("bpftool") is None:
        return "there is no bpftool: apt-get install bpftool"
    if unified_cgroups() is None:
        return "there is no cgroup tree of version 2"
    return ""


def unified_cgroups() -> str | None:
    """Where the cgroup tree of version 2 is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if rest.startswith("cgroup2 "):
                return fields.split()[4]
    return None


class Recorder:
    """Counts what the wanted containers do, by phase.

    The process that makes one gets a mount namespace of its own.

    Args:
        objects: name of a file to its content: ``calls.bpf.o``, and those for capabilities.

    Raises:
        Failed: the programs cannot be attached.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        reason = problem()
        if reason:
            raise Failed(reason)
        self.capabilities_by = ""  # "tracepoint" or "fexit"
        self.problems: list[str] = []
        _private_bpffs()
        self._attach(objects)

    def _attach(self, objects: Mapping[str, bytes]) -> None:
        self._load("calls", objects["calls.bpf.o"], ())
        for way in ("tracepoint", "fexit"):
            try:
                self._load("capabilities", objects[f"capabilities_{way}.bpf.o"], _SHARED)
            except Failed as error:
                self.problems.append(describe(error))
                continue
            self.capabilities_by = way
            self.problems = []
            return

    def _load(self, name: str, content: bytes, shared: tuple[str, ...]) -> None:
        descriptor = os.memfd_create(name)
        try:
            os.write(descriptor, content)
            words = ["prog", "loadall", f"/proc/{os.getpid()}/fd/{descriptor}", f"{_BPFFS}/{name}"]
            for each in shared:
                words += ["map", "name", each, "pinned", _map(each)]
            run("bpftool", *words, "pinmaps", f"{_BPFFS}/{name}-maps", "autoattach", timeout=_TIMEOUT)
        finally:
            os.close(descriptor)

    def want(self, identity: str) -> None:
        """Count what a container does from now on; it may not have started."""
        _update("wanted", layout.container_name(identity), b"\1")

    def phase(self, name: str, *, unfiltered: bool = False) -> None:
        """Count for this phase from now on; ``unfiltered``: the containers have no seccomp filter."""
        settings = layout.config(layout.PHASES.index(name), unfiltered=unfiltered, machine=os.uname().machine)
        _update("config", b"\0\0\0\0", settings)

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """All that was counted, by map."""
        return {name: self.read_one(name) for name in _READERS}

    def read_one(self, name: str) -> list[dict[str, Any]]:
        """What was counted in one of the maps."""
        if name == "capabilities" and not self.capabilities_by:
            return []
        return _READERS[name](_dump(name))

    def cgroups(self) -> set[int]:
        """The cgroups that wanted containers had."""
        return layout.wanted(_dump("cgroups"))

    def losses(self) -> Mapping[str, int]:
        """What had no room in the maps."""
        return layout.losses(_dump("losses"))


def _private_bpffs() -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")

    check(libc.unshare(_CLONE_NEWNS), "cannot leave the mount namespace")
    # Not private: what the host unmounts is to be unmounted here too, or it would be busy.
    check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "cannot separate the mounts")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    check(libc.mount(b"bpf", _BPFFS.encode(), b"bpf", flags, b"mode=0700"), "cannot mount a bpf file system")


def _map(name: str) -> str:
    """Where a map is pinned: with the object that has it first."""
    return f"{_BPFFS}/{'capabilities' if name == 'capabilities' else 'calls'}-maps/{name}"


def _update(name: str, key: bytes, value: bytes) -> None:
    run(
        "bpftool",
        "map",
        "update",
        "pinned",
        _map(name),
        "key",
        "hex",
        *_hex(key),
        "value",
        "hex",
        *_hex(value),
    )


def _hex(data: bytes) -> list[str]:
    return [f"{byte:02x}" for byte in data]


def _dump(name: str) -> list[layout.Entry]:
    text = run("bpftool", "-j", "map", "dump", "pinned", _map(name), timeout=_TIMEOUT, limit=_MAX_DUMP)
    try:
        return [(_bytes(entry["key"]), _bytes(entry["value"])) for entry in json.loads(text)]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"bpftool's answer cannot be read: {error}") from None


def _bytes(words: list[str]) -> bytes:
    return bytes(int(word, 16) for word in words)
