"""Connect to the engine's socket, with hard limits of size and time.

Bulk readers pipeline several requests (``get_all``); for single requests see `client`. `_socket` is `socket`
without its wrappers, whose import takes as long as reading fifty containers.
"""

from __future__ import annotations

import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket  # noqa: N812 - it is a class
from sys import byteorder

from .http import FOREVER, PIECE, Answer, NoAnswer, Reader, connection_error, parse, reason

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

DEFAULT_SOCKET = "/var/run/docker.sock"  # as dockerd spells it
USUAL_SOCKET = "/run/docker.sock"  # the same path without the symbolic link
MAX_BODY = 32 * 1024 * 1024
_MAX_REASON = 65536
_WINDOW = 32  # pipelined requests; they are short enough for the socket's buffer, so no deadlock occurs


class Connection:
    """A connection to an HTTP server behind a unix socket.

    Args:
        path: the socket.
        deadline: end of all requests, on the monotonic clock.
        idle: seconds that the server may be silent.
        connected: an existing connection, instead of the socket.

    Raises:
        NoAnswer: nothing listens there.
    """

    def __init__(
        self, path: str, deadline: float = FOREVER, *, idle: float = FOREVER, connected: Any = None
    ) -> None:
        self.api_version = self.server = ""  # from the header of the last answer
        self._deadline = deadline
        self._idle = idle
        self._reader = Reader(self._receive)
        self._socket: Any = connected or Socket(AF_UNIX, SOCK_STREAM)
        if connected is None:
            try:
                self._wait()
                self._socket.connect(path)
            except (OSError, ValueError) as error:  # ValueError: a path with a NUL
                self._socket.close()
                raise NoAnswer(reason(error)) from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def peer(self) -> tuple[int, int]:
        """Return process and user id of the process that called listen() on the other side."""
        credentials = self._socket.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], byteorder), int.from_bytes(credentials[4:8], byteorder)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def get(self, path: str, limit: int = MAX_BODY) -> Any:
        """Return the parsed JSON answer to one request; see ``get_all`` for its errors."""
        return parse(self.get_bytes(path, limit))

    def get_bytes(self, path: str, limit: int = MAX_BODY) -> bytes:
        """Return the raw answer to one request."""
        body = next(self.get_all([path], limit))
        if isinstance(body, NoAnswer):
            raise body
        return body

    def get_all(self, paths: Iterable[str], limit: int = MAX_BODY) -> Iterator[bytes | NoAnswer]:
        """Yield answers to many pipelined requests, in their order.

        An unsuccessful answer is yielded as an exception object; the connection stays usable.

        Raises:
            NoAnswer: the server is too slow, too talkative, or does not speak HTTP; the connection is lost.
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
                    batch.append(_head("GET", path, {}))
                if batch:
                    self._wait()
                    self._socket.sendall("".join(batch).encode("ascii"))
                if not waiting:
                    return
                for _answered in range(max(1, len(waiting) - _WINDOW // 2)):
                    path = waiting.pop(0)
                    yield self._next_answer(path).all(limit)
        except (OSError, ValueError) as error:
            raise connection_error(error) from None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        limit: int = MAX_BODY,
        accept: Iterable[int] = (),
    ) -> bytes:
        """Send the connection's last request and return the answer's body.

        Args:
            method: of HTTP.
            path: with every name in it quoted.
            body: sent with its length, or piece by piece.
            headers: beside those that every request has.
            limit: bytes that the answer may have.
            accept: status codes that are success beside 200 to 299.

        Raises:
            NotFound, TooLarge, NoAnswer: it is not answered so.
        """
        answer = self._sent(method, path, body, headers)
        return self._body(answer, limit, accept)

    def open(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send the connection's last request and return its successful answer with an unread body."""
        answer = self._sent(method, path, body, headers)
        if not answer.succeeds():
            self._body(answer, _MAX_REASON, ())
        return answer

    def _sent(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str] | None
    ) -> Answer:
        sent = dict(headers or {})
        if isinstance(body, bytes):
            sent["Content-Length"] = str(len(body))
        elif body is not None:
            sent["Transfer-Encoding"] = "chunked"
        try:
            head = _head(method, path, sent).encode("ascii")
            self._wait()
            self._socket.sendall(head + body if isinstance(body, bytes) else head)
            if body is not None and not isinstance(body, bytes):
                for piece in body:
                    self._wait()
                    self._socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
                self._socket.sendall(b"0\r\n\r\n")
            return self._next_answer(path)
        except (OSError, ValueError) as error:
            raise connection_error(error) from None

    def _body(self, answer: Answer, limit: int, accept: Iterable[int]) -> bytes:
        try:
            found = answer.all(limit, accept=accept, last=True)
        except (OSError, ValueError) as error:
            raise connection_error(error) from None
        if isinstance(found, NoAnswer):
            raise found
        return found

    def _wait(self) -> None:
        """Limit the next call on the socket to the remaining time."""
        remaining = min(self._deadline - time.monotonic(), self._idle)
        if remaining <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(None if remaining == FOREVER else remaining)

    def _receive(self) -> bytes:
        self._wait()
        received: bytes = self._socket.recv(PIECE)
        return received

    def _next_answer(self, path: str) -> Answer:
        """Return the next answer after reading its header."""
        answer = Answer(self._reader, path)
        self.api_version = answer.head.get(b"api-version", b"").decode("latin-1")
        self.server = answer.head.get(b"server", b"").decode("latin-1")
        return answer

    def wait_for_ever(self) -> None:
        """Remove the time limits, since the server may send no data for a long time."""
        self._deadline = self._idle = FOREVER


def _head(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return the header of a request.

    Raises:
        ValueError: the path or a header has characters that would end it.
    """
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if not path.isprintable() or " " in path or not "".join(headers.values()).isprintable():
        raise ValueError("the request is invalid")
    return f"{method} {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: hardener\r\n{more}\r\n"
