"""See to which addresses a process and its children connect, by a trace instance of the kernel."""

from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Union

from ..host.errors import Failed
from .tools import mount

_TRACING = "/sys/kernel/tracing"
_INSTANCES = f"{_TRACING}/instances"
_OURS = "hardener-"
_EVENT = "events/sock/inet_sock_set_state"
_INITIAL = "pid:[4026531836]"  # PROC_PID_INIT_INO
_SETTINGS = (
    ("buffer_size_kb", "256"),  # for each processor: about its last 2,000 connections
    ("options/event-fork", "1"),
    (f"{_EVENT}/filter", "newstate == 2"),  # TCP_SYN_SENT
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY

Address = Union[IPv4Address, IPv6Address]


class Connections:
    """Notes the TCP connections that a process and its later children begin from now on.

    Args:
        run: names the trace instance. It stays if this process is killed, until the next one is made.
        pid: the process; 0 for none.
    """

    def __init__(self, run: str, pid: int) -> None:
        self._name = f"{_OURS}{run}"
        self._held: list[int] = []
        if not pid or os.readlink("/proc/self/ns/pid") != _INITIAL:  # the kernel has other numbers
            return
        with suppress(OSError, Failed):  # a kernel that does not trace
            if not os.path.isdir(_INSTANCES):
                mount("tracefs", _TRACING)
            every = self._open(_INSTANCES, _FOLDER)
            for name in os.listdir(every):
                if name.startswith(_OURS):
                    _remove(name, every)
            os.mkdir(self._name, dir_fd=every)
            folder = self._open(self._name, _FOLDER, every)
            self._open("trace_pipe", os.O_RDONLY, folder)  # so that only this process removes it
            threads = " ".join(os.listdir(f"/proc/{pid}/task"))
            for name, value in (*_SETTINGS, ("set_event_pid", threads), (f"{_EVENT}/enable", "1")):
                os.write(self._open(name, os.O_WRONLY, folder), value.encode("ascii"))

    def _open(self, name: str, flags: int, folder: int | None = None) -> int:
        self._held.append(os.open(name, flags | os.O_CLOEXEC, dir_fd=folder))
        return self._held[-1]

    def begun(self) -> set[tuple[Address, int]]:
        """Return the addresses and ports to which the latest connections began; then stop."""
        found = set()
        path = f"{_INSTANCES}/{self._name}/trace"
        with suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
                with suppress(KeyError, ValueError):  # a heading, or the name of a program has lines
                    address = ip_address(fields["daddrv6"])
                    found.add((getattr(address, "ipv4_mapped", None) or address, int(fields["dport"])))
        self.close()
        return found

    def close(self) -> None:
        """Stop; a second call does nothing."""
        if self._held:
            every, *others = self._held
            for each in others:
                os.close(each)
            _remove(self._name, every)
            os.close(every)
            self._held.clear()


def _remove(name: str, every: int) -> None:
    """Remove a trace instance, unless a process holds it."""
    with suppress(OSError):
        os.rmdir(name, dir_fd=every)
