"""HTTP/1.1 over a unix socket: one kept connection, several requests on their way, hard limits.

`http.client` would work; it costs 1.4 times as much and knows no limit of size or of total time.
"""

from __future__ import annotations

import socket
import struct
import time
from json import loads

from host_snapshot.bounds import Failed

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable, Iterator
    from typing import Any

MAX_BODY = 32 * 1024 * 1024
_MAX_LINE = 65536
_WINDOW = (
    32  # requests sent ahead: they are short, so the socket's buffer holds them and nobody waits in a circle
)


class NotFound(Failed):
    """The engine says 404: the thing went away since it was listed."""


class Connection:
    """A connection to an HTTP server behind a unix socket.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, path: str, deadline: float) -> None:
        self._deadline = deadline
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(self._remaining())
        self._socket.connect(path)
        self._stream: Any = self._socket.makefile("rb", 65536)  # buffered: it has read1

    def peer(self) -> tuple[int, int]:
        """Process and user id of whoever called listen() on the other side."""
        pid, uid, _ = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, uid

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def get(self, path: str, limit: int = MAX_BODY) -> Any:
        """The parsed JSON answer to one request; see ``get_all`` for what can go wrong."""
        body = next(self.get_all([path], limit))
        if isinstance(body, Failed):
            raise body
        return parse(body)

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
            reason = "timed out" if isinstance(error, socket.timeout) else str(error) or "connection lost"
            raise Failed(f"the engine's answer: {reason}") from None

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise Failed("the engine did not answer in time")
        return remaining

    def _line(self) -> bytes:
        line: bytes = self._stream.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise ValueError("connection lost" if len(line) < _MAX_LINE else "a line without end")
        return line

    def _answer(self, path: str, limit: int) -> bytes | Failed:
        self._socket.settimeout(self._remaining())
        version, _, status = self._line().partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("it is not HTTP")
        length, chunked = -1, False
        for _ in range(100):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                break
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = value.strip().lower() == b"chunked"
        else:
            raise ValueError("headers without end")
        if chunked:
            body = self._chunks(path, limit)
        elif 0 <= length <= limit:
            body = self._read(length)
        else:
            raise ValueError(f"{path} is larger than {limit} bytes" if length > 0 else "no length is given")
        code = status[:3]
        if code == b"200":
            return body
        kind = NotFound if code == b"404" else Failed
        return kind(f"{path}: {_message(body) or status.decode('latin-1').strip()}")

    def _read(self, length: int) -> bytes:
        if length <= 65536:
            data: bytes = self._stream.read(length)
        else:
            data = b"".join(self._pieces(length))
        if len(data) != length:
            raise ValueError("connection lost")
        return data

    def _pieces(self, length: int) -> Iterator[bytes]:
        """A long body in pieces, so that a drip cannot outlive the deadline."""
        while length > 0:
            self._socket.settimeout(self._remaining())
            piece = self._stream.read1(min(length, 1024 * 1024))
            if not piece:
                return
            length -= len(piece)
            yield piece

    def _chunks(self, path: str, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            length = int(self._line().split(b";")[0], 16)
            if length < 0:
                raise ValueError("a chunk of negative length")
            if length == 0:
                while self._line() not in (b"\r\n", b"\n"):
                    pass
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            size += length
            if size > limit:
                raise ValueError(f"{path} is larger than {limit} bytes")
            pieces.append(self._read(length))
            self._line()
            if len(pieces) % 64 == 0:
                self._socket.settimeout(self._remaining())


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
