"""Probe TCP ports and name servers from the host, or from a container's network namespace."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Any, Callable, Collection, Iterable, Mapping, Tuple

from ..host import limits, processes

Target = Tuple[str, int]  # an address and a TCP port

_MAX_ANSWER = 65536
# A query for the root name servers: any resolver can answer it, and it discloses nothing.
_QUESTION = struct.pack(">HHHHHH", 0x6864, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">HH", 2, 1)
_ANSWERED = {0, 3}  # codes of a useful answer: NOERROR, NXDOMAIN


def answering(targets: Iterable[Target], *, seconds: float = 2) -> set[Target]:
    """Return which TCP ports accept a connection; all are tried in parallel."""
    found: set[Target] = set()
    waiting: dict[int, tuple[socket.socket, Target]] = {}
    poller = select.poll()
    try:
        for target in set(targets):
            connection = _socket(target[0], socket.SOCK_STREAM)
            if connection is None:
                continue
            waiting[connection.fileno()] = connection, target
            with suppress(OSError):
                if connection.connect_ex(target) in (0, errno.EINPROGRESS):
                    poller.register(connection, select.POLLOUT)
        deadline = time.monotonic() + seconds
        while waiting:
            left = deadline - time.monotonic()
            ready = poller.poll(left * 1000) if left > 0 else ()
            if not ready:
                break
            for handle, _event in ready:
                poller.unregister(handle)
                connection, target = waiting.pop(handle)
                with connection:
                    if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        found.add(target)
    finally:
        for connection, _target in waiting.values():
            connection.close()
    return found


def resolving(servers: Collection[str], *, seconds: float = 2) -> dict[str, int]:
    """Rate name servers: 2 for a useful answer, 1 for an error; omit those without an answer."""
    found: dict[str, int] = {}
    asked: dict[int, tuple[socket.socket, str]] = {}
    poller = select.poll()
    try:
        for server in servers:
            connection = _socket(server, socket.SOCK_DGRAM)
            if connection is None:
                continue
            asked[connection.fileno()] = connection, server
            with suppress(OSError):
                connection.connect((server, 53))
                connection.send(_QUESTION)
                poller.register(connection, select.POLLIN)
        deadline = time.monotonic() + seconds
        while len(found) < len(asked):
            left = deadline - time.monotonic()
            ready = poller.poll(left * 1000) if left > 0 else ()
            if not ready:
                break
            for handle, _event in ready:
                poller.unregister(handle)
                connection, server = asked[handle]
                found[server] = 0
                with suppress(OSError):
                    answer = connection.recv(4096)
                    if len(answer) >= 12 and answer[:2] == _QUESTION[:2]:
                        found[server] = 2 if answer[3] & 15 in _ANSWERED else 1
    finally:
        for connection, _server in asked.values():
            connection.close()
    return {server: level for server, level in found.items() if level}


def _socket(address: str, kind: int) -> socket.socket | None:
    """Return a non-blocking socket, None if this host lacks the address family."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError:
        return None


def inside(work: Mapping[str, tuple[int, Callable[[], Any]]], *, seconds: float = 8) -> dict[str, Any]:
    """Call functions in the network namespaces of processes in parallel, and return their results.

    Args:
        work: by name, a process id, and a function that returns JSON data.
        seconds: calls that take longer are killed.

    Returns:
        Results by name; a namespace that cannot be entered, or is our own, has none.
    """
    visits = {name: _visit(pid, function, seconds) for name, (pid, function) in work.items()}
    deadline = time.monotonic() + seconds
    found = {}
    for name, (child, reader) in visits.items():
        text = _read(reader, deadline)
        limits.end_helper(child)
        os.waitpid(child, 0)
        with suppress(ValueError):
            found[name] = json.loads(text)
    return found


def _visit(pid: int, function: Callable[[], Any], seconds: float) -> tuple[int, int]:
    """Fork a process that enters a namespace and calls a function; return its pid and result pipe."""
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        limits.become_helper(parent, int(seconds) + 1)
        os.close(reader)
        _enter(pid)
        os.write(writer, json.dumps(function()).encode()[:_MAX_ANSWER])
    finally:
        os._exit(0)


def _enter(pid: int) -> None:
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.path.samestat(os.fstat(handle), os.stat("/proc/self/ns/net")):
        raise OSError("the network namespace is that of this process")
    processes.enter(handle, processes.NETWORK)


def _read(reader: int, deadline: float) -> bytes:
    """Read until the other end is closed, or until the deadline."""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    text = b""
    with os.fdopen(reader, "rb", buffering=0) as source:
        while poller.poll(max(0, deadline - time.monotonic()) * 1000):
            part = source.read(_MAX_ANSWER)
            if not part:
                break
            text += part
    return text


def listening(port: int) -> bool:
    """Return whether any process of this host listens on a TCP port."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for line in lines:
                words = line.split(None, 4)
                if words[3] == "0A" and words[1].endswith(wanted):
                    return True
    return False


def own_address(family: int) -> str:
    """Return the address that this host uses for outgoing connections; loopback if it has none."""
    world, loopback = ("2001:db8::1", "::1") if family == socket.AF_INET6 else ("192.0.2.1", "127.0.0.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.connect((world, 9))  # sends nothing
            return str(connection.getsockname()[0])
    except OSError:
        return loopback
