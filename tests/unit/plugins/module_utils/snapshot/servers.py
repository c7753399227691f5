"""Servers behind a unix socket that say what a test tells them to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
