"""HTTP/1.1 over a unix socket: one kept connection, several requests on their way, hard limits.

`http.client` would work; it costs 1.4 times as much and knows no limit of size or of total time. `_socket` is
`socket` without its wrappers, which take as long to make as fifty containers to read.
"""

from __future__ import annotations

import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket  # noqa: N812 - it is a class
from json import loads
from sys import byteorder

from .bounds import Failed

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable, Iterator
    from typing import Any

MAX_BODY = 32 * 1024 * 1024
_PASSED = 32  # times the limit: what is larger ends the connection, less is received and left
_MAX_HEAD = 65536
_PIECE = 256 * 1024
_WINDOW = (
    32  # requests sent ahead: they are short, so the socket's buffer holds them and nobody waits in a circle
)


class NotFound(Failed):
    """The engine says 404: the thing went away since it was listed."""


class TooLarge(Failed):
    """An answer is larger than was asked for; the next one on the connection can be read."""


class Connection:
    """A connection to an HTTP server behind a unix socket.

    Args:
        path: the socket.
        deadline: when all of it must have ended, on the monotonic clock.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, path: str, deadline: float) -> None:
        self.api_version = ""  # as the last answer had it in its head
        self._deadline = deadline
        self._data = b""  # received; up to `_at` it is used up
        self._at = 0
        self._socket = Socket(AF_UNIX, SOCK_STREAM)
        self._socket.settimeout(self._remaining())
        self._socket.connect(path)

    def peer(self) -> tuple[int, int]:
        """Process and user id of whoever called listen() on the other side."""
        credentials = self._socket.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], byteorder), int.from_bytes(credentials[4:8], byteorder)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def get(self, path: str, limit: int = MAX_BODY) -> Any:
        """The parsed JSON answer to one request; see ``get_all`` for what can go wrong."""
        return parse(self.get_bytes(path, limit))

    def get_bytes(self, path: str, limit: int = MAX_BODY) -> bytes:
        """The answer to one request as it came."""
        body = next(self.get_all([path], limit))
        if isinstance(body, Failed):
            raise body
        return body

    def get_all(self, paths: Iterable[str], limit: int = MAX_BODY) -> Iterator[bytes | Failed]:
        """Answers to many requests, in their order, while the next ones are already on their way.

        An answer that is no success comes as an exception object; the connection goes on.

        Raises:
            Failed: the server is too slow, too talkative, or does not speak HTTP; the connection is lost.
        """
        waiting: list[str] = []
        requests = iter(paths)
        try:
            while True:
                batch = []
                while len(waiting) < _WINDOW:
                    path = next(requests, None)
                    if path is None:
                        break
                    waiting.append(path)
                    batch.append(f"GET {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: hardener\r\n\r\n")
                if batch:
                    self._socket.settimeout(self._remaining())
                    self._socket.sendall("".join(batch).encode("ascii"))
                if not waiting:
                    return
                for _ in range(max(1, len(waiting) - _WINDOW // 2)):
                    yield self._answer(waiting.pop(0), limit)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "connection lost"
            raise Failed(f"the engine's answer: {reason}") from None

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise Failed("the engine's answer: timed out")
        return remaining

    def _receive(self) -> None:
        """Wait for more data."""
        self._socket.settimeout(self._remaining())
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise ValueError("connection lost")
        self._data = self._data[self._at :] + piece
        self._at = 0

    def _until(self, mark: bytes) -> bytes:
        """Data up to a mark, which is used up with it."""
        while True:
            end = self._data.find(mark, self._at)
            if end >= 0:
                begin, self._at = self._at, end + len(mark)
                return self._data[begin:end]
            if len(self._data) - self._at > _MAX_HEAD:
                raise ValueError("a head without end")
            self._receive()

    def _take(self, length: int) -> bytes:
        """So many bytes; in pieces, so that a long body is not copied again with every one that arrives."""
        end = self._at + length
        if end <= len(self._data):
            begin, self._at = self._at, end
            return self._data[begin:end]
        pieces = [self._data[self._at :]]
        length -= len(pieces[0])
        while length > 0:
            self._data, self._at = b"", 0
            self._receive()
            pieces.append(self._data[:length])
            self._at = len(pieces[-1])
            length -= self._at
        return b"".join(pieces)

    def _answer(self, path: str, limit: int) -> bytes | Failed:
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        version, _, status = first.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("it is not HTTP")
        head = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        self.api_version = head.get(b"api-version", b"").decode("latin-1")
        body: bytes | None
        if head.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = self._chunks(path, limit)
        else:
            length = int(head.get(b"content-length", b"-1"))
            if length < 0:
                raise ValueError("no length is given")
            if length <= limit:
                body = self._take(length)
            else:
                body = None
                self._pass(_within(length, limit, path))
        code = status[:3]
        if body is None:
            return TooLarge(f"{path} is larger than {limit} bytes")
        if code == b"200":
            return body
        kind = NotFound if code == b"404" else Failed
        return kind(f"{path}: {_message(body) or status.decode('latin-1').strip()}")

    def _pass(self, length: int) -> None:
        """Receive so many bytes, and keep none of them."""
        while length > 0:
            if self._at == len(self._data):
                self._receive()
            there = min(length, len(self._data) - self._at)
            self._at += there
            length -= there

    def _chunks(self, path: str, limit: int) -> bytes | None:
        """A body in chunks; None where it is larger than the limit."""
        body = bytearray()  # a chunk may be as small as a byte
        size = 0
        while True:
            length = int(self._until(b"\r\n").partition(b";")[0], 16)
            if length < 0:
                raise ValueError("a chunk of negative length")
            if length == 0:
                while self._until(b"\r\n"):  # trailers, up to an empty line
                    pass
                return bytes(body) if size <= limit else None
            size = _within(size + length, limit, path)
            if size <= limit:
                body += self._take(length)
            else:
                body.clear()
                self._pass(length)
            self._until(b"\r\n")


def _within(size: int, limit: int, path: str) -> int:
    if size > _PASSED * limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return size


def parse(body: bytes) -> Any:
    """A JSON text, parsed.

    Raises:
        Failed: it is none.
    """
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise Failed(f"the engine's answer is not JSON: {error}") from None


def _message(body: bytes) -> str:
    """What the engine says of an error: ``{"message": "…"}``."""
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(answer.get("message", "")) if isinstance(answer, dict) else ""
