"""Servers behind a unix socket that say what a test tells them to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.api import Connection


@contextmanager
def serving(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections and let ``answer`` deal with each, until the block ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=deal, args=(connection,), daemon=True).start()

    def deal(connection: socket.socket) -> None:
        with suppress(OSError):
            answer(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield str(path)
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def saying(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Wait for a request, send the pieces, hang up."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


def engine(bodies: dict[str, bytes], *, api: str = "1.51") -> Callable[[socket.socket], None]:
    """An HTTP server that keeps connections: a body a path, 404 for any other."""

    def answer(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while line := stream.readline():
            path = line.split()[1].decode()
            while stream.readline() not in (b"\r\n", b""):
                pass
            body = bodies.get(path)
            status = b"200 OK" if body is not None else b"404 Not Found"
            body = body if body is not None else b'{"message":"no such thing"}'
            head = b"HTTP/1.1 %s\r\nApi-Version: %s\r\n" % (status, api.encode())
            half = len(body) // 2  # one answer in two chunks, the next with its length
            if half % 2:
                chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
                connection.sendall(b"%sTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (head, chunks))
            else:
                connection.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body))

    return answer


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"  # an answer whose connection ends in it


def http(body: bytes, status: str = "200 OK") -> bytes:
    """An answer of HTTP."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def only_hangs_count(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Ignore that a server is slow unless this event says that it hangs; a busy machine may delay others."""
    hangs = threading.Event()
    receive = Connection._receive

    def patient(self: Connection) -> bytes:
        while True:
            hung = hangs.is_set()  # what was sent before that is there
            try:
                return receive(self)
            except TimeoutError:
                if hung or time.monotonic() >= self._deadline:
                    hangs.clear()  # the next connection does not hang yet
                    raise

    monkeypatch.setattr(Connection, "_receive", patient)
    return hangs


def spoiled(
    bodies: dict[str, bytes], paths: Collection[str], answer: bytes, hangs: threading.Event | None = None
) -> Callable[[socket.socket], None]:
    """An engine that gives an answer of its own to some requests; an empty one never comes."""
    others = engine(bodies)

    def deal(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while line := stream.readline():
            while stream.readline() not in (b"\r\n", b""):
                pass
            asked = line.split()[1].decode()
            if asked not in paths:
                here, there = socket.socketpair()
                with here, there:
                    here.sendall(line + b"\r\n")
                    here.shutdown(socket.SHUT_WR)
                    others(there)
                    there.shutdown(socket.SHUT_WR)
                    connection.sendall(here.makefile("rb").read())
            elif answer == CUT:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_RDWR)
                return
            elif answer:
                connection.sendall(answer)
            else:
                if hangs is not None:
                    hangs.set()
                stream.read()

    return deal
