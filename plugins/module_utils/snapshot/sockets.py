"""Read listening sockets from /proc/net, and the processes that hold them."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop
from sys import byteorder

from ..host.errors import Failed
from ..host.processes import namespace
from ..host.read import read_pseudo, read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable
    from typing import Any

_MANY_FILES = frozenset({"dockerd", "containerd"})
PROTOCOLS = ("tcp", "tcp6", "udp", "udp6")
# A TCP socket in state LISTEN; a UDP socket that is bound and not connected has state CLOSE.
_STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def listening(pid: int | str) -> list[dict[str, Any]]:
    """Return listening TCP and bound UDP sockets in the network namespace of a process."""
    # Reading net/tcp makes the kernel walk the host's whole hash table, once per namespace: a millisecond
    # each. The counters are cheap, and most containers have no socket at all.
    counters = _counters(f"/proc/{pid}/net/sockstat")
    if counters and counters[0] == "sockets: used 0":
        return []
    counters += _counters(f"/proc/{pid}/net/sockstat6")
    idle = {line.partition(":")[0].lower() for line in counters if ": inuse 0 " in f"{line} "}
    found: list[dict[str, Any]] = []
    for protocol in PROTOCOLS:
        if protocol not in idle:
            try:
                found += parse(read_text(f"/proc/{pid}/net/{protocol}"), protocol)
            except FileNotFoundError:
                continue  # a kernel without IPv6
    return found


def _counters(path: str) -> list[str]:
    try:
        return read_pseudo(path).splitlines()
    except FileNotFoundError:
        return []


def parse(text: str, protocol: str) -> list[dict[str, Any]]:
    """Parse a table of sockets: see proc_pid_net(5)."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _STATES[protocol]:
            continue
        address, _separator, port = fields[1].rpartition(":")
        found.append(
            {
                "proto": protocol,
                "address": decode_address(address),
                "port": int(port, 16),
                "uid": int(fields[7]),
                "inode": int(fields[9]),
            }
        )
    return found


def decode_address(text: str) -> str:
    """Decode an address of the kernel: 32-bit words in the host's byte order."""
    words = [bytes.fromhex(text[i : i + 8]) for i in range(0, len(text), 8)]
    if byteorder == "little":
        words = [word[::-1] for word in words]
    return inet_ntop(AF_INET if len(words) == 1 else AF_INET6, b"".join(words))


class Holders:
    """Maps sockets to processes. A process is read once: an engine has thousands of open files."""

    def __init__(self) -> None:
        self._held: dict[int, set[int]] = {}

    def held(self, pid: int) -> set[int]:
        """Return the inodes of a process's sockets; none if it cannot be read."""
        if pid not in self._held:
            self._held[pid] = _look_through(f"/proc/{pid}/fd")
        return self._held[pid]

    def owners(self, inodes: Iterable[int], pids: Iterable[int]) -> dict[int, int]:
        """Return for each inode the first process that holds the socket; sockets without one are left out."""
        wanted = set(inodes)
        found: dict[int, int] = {}
        for pid in pids:
            if not wanted:
                break
            for inode in self.held(pid) & wanted:
                found[inode] = pid
                wanted.discard(inode)
        return found


def _look_through(folder: str) -> set[int]:
    inodes = set()
    try:
        for name in os.listdir(folder):
            try:
                link = os.readlink(f"{folder}/{name}")
            except OSError:
                continue
            if link.startswith("socket:["):
                inodes.add(int(link[8:-1]))
    except OSError:
        pass
    return inodes


def host_listening(running: dict[int, str], holders: Holders) -> list[dict[str, Any]]:
    """Return listening sockets of the host, with ``pid`` and ``process`` of their holder.

    Args:
        running: process id to name.
        holders: maps sockets to processes.
    """
    try:
        found = listening(1)
    except (PermissionError, Failed):
        found = listening("self")
    own = namespace(1, "net") or namespace("self", "net")
    # The engine's daemons have thousands of open files: they are read last. Their shims do not listen.
    # Systemd also holds sockets that it has passed to a service, for example to sshd.
    candidates = (pid for pid, name in running.items() if name != "containerd-shim")
    order = sorted(candidates, key=lambda pid: (running[pid] in _MANY_FILES, pid == 1, pid))
    owners = holders.owners(
        {entry["inode"] for entry in found}, (pid for pid in order if namespace(pid, "net") in (own, None))
    )
    for entry in found:
        pid = owners.get(entry["inode"])
        entry.update({"pid": pid, "process": running.get(pid, "") if pid else ""})
    return found
