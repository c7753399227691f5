"""Read answers of an HTTP/1.1 server with hard limits of size.

`http.client` would work for sequential requests; its import takes a fifth of a collection's time, and it has
no limit of size or of total time.
"""

from __future__ import annotations

from json import loads

from ..host.errors import Failed
from ..host.text import one_line

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

FOREVER = float("inf")
PIECE = 256 * 1024
_PASSED = 32  # times the limit: a larger answer ends the connection, a smaller one is read and dropped
_MAX_HEAD = 65536
# Text written by programs in containers.
_STREAMS = (b"application/vnd.docker.raw-stream", b"application/vnd.docker.multiplexed-stream")


class NoAnswer(Failed):
    """The engine does not answer, refuses, or sends an invalid answer."""


class NotFound(NoAnswer):
    """The engine answers 404: the object does not exist (any more)."""


class TooLarge(NoAnswer):
    """An answer exceeds its limit; the next one on the connection can be read."""


class Reader:
    """The received data of a connection, and how much of it is consumed.

    Args:
        receive: waits for more data, and returns it; empty at the end of the connection.
    """

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._data = b""  # consumed up to `_at`
        self._at = 0

    def until(self, delimiter: bytes) -> bytes:
        """Return the data up to a mark; consume the data and the mark.

        Raises:
            ValueError: it does not come.
        """
        while True:
            end = self._data.find(delimiter, self._at)
            if end >= 0:
                begin, self._at = self._at, end + len(delimiter)
                return self._data[begin:end]
            if len(self._data) - self._at > _MAX_HEAD:
                raise ValueError(f"a header in the answer has more than {_MAX_HEAD} bytes")
            if not self._receive_more():
                raise ValueError("connection lost")

    def take(self, limit: int) -> bytes:
        """Return at most `limit` bytes; empty at the end of the connection."""
        if self._at == len(self._data) and not self._receive_more():
            return b""
        begin = self._at
        self._at = min(begin + limit, len(self._data))
        return self._data[begin : self._at]

    def _receive_more(self) -> bool:
        piece = self._receive()
        self._data = self._data[self._at :] + piece
        self._at = 0
        return bool(piece)


class Answer:
    """An answer whose header has been read: its status, and its body in pieces.

    Args:
        reader: the data of the connection.
        path: the path of the request.

    Raises:
        OSError, ValueError: the connection is lost, or what comes is no HTTP.
    """

    def __init__(self, reader: Reader, path: str) -> None:
        first, *lines = reader.until(b"\r\n\r\n").split(b"\r\n")
        version, _separator, self._said = first.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("the answer is not HTTP")
        self.status = int(self._said[:3])
        self.head = {
            name.lower(): value.strip()
            for name, _separator, value in (line.partition(b":") for line in lines)
        }
        # Without a length, the body ends with the connection.
        self._ends = (
            version == b"HTTP/1.0"
            or self.head.get(b"connection", b"").lower() == b"close"
            or self.head.get(b"content-type") in _STREAMS
        )
        self._reader = reader
        self._path = path

    def pieces(self, limit: float = FOREVER) -> Iterator[bytes]:
        """Yield the body in pieces.

        Args:
            limit: bytes; one that says it is many times larger is not even begun.

        Raises:
            OSError, ValueError: the connection is lost, or what comes is no HTTP.
        """
        if self.head.get(b"transfer-encoding", b"").lower() == b"chunked":
            return self._chunks(limit)
        length = int(self.head.get(b"content-length", b"-1"))
        if length >= 0:
            return self._part(_within(length, limit, self._path))
        if self.status in (204, 304):
            return iter(())
        if not self._ends:
            raise ValueError("the answer has no Content-Length")
        return self._until_end(limit)

    def all(self, limit: int, *, accept: Iterable[int] = (), last: bool = False) -> bytes | NoAnswer:
        """Return the body; if the status is not successful, return an exception object with the reason.

        Args:
            limit: bytes; a larger body is read and dropped.
            accept: status codes that are success beside 200 to 299.
            last: this is the connection's last answer: a body that is too large is not read.

        Raises:
            OSError, ValueError: the connection is lost, or what comes is no HTTP.
        """
        body = bytearray()  # a chunk may have a single byte
        size = 0
        for piece in self.pieces(FOREVER if last else limit):
            size += len(piece)
            if size <= limit:
                body += piece
            elif last:
                break
            else:
                body.clear()
        if size > limit:
            return TooLarge(f"{self._path} is larger than {limit} bytes")
        if self.succeeds(accept):
            return bytes(body)
        kind = NotFound if self.status == 404 else NoAnswer
        said = message(bytes(body)) or self._said.decode("latin-1").strip()
        return kind(f"{self._path}: {one_line(said)}")

    def succeeds(self, accept: Iterable[int] = ()) -> bool:
        """Return whether the status is 2xx, or one of ``accept``."""
        return 200 <= self.status < 300 or self.status in accept

    def _part(self, length: int) -> Iterator[bytes]:
        """Yield `length` bytes."""
        while length > 0:
            piece = self._reader.take(min(length, PIECE))
            if not piece:
                raise ValueError("connection lost")
            length -= len(piece)
            yield piece

    def _chunks(self, limit: float) -> Iterator[bytes]:
        """Yield a chunked body."""
        size = 0
        while True:
            length = int(self._reader.until(b"\r\n").partition(b";")[0], 16)
            if length < 0:
                raise ValueError("a chunk of the answer has a negative length")
            if length == 0:
                while self._reader.until(b"\r\n"):  # trailers, up to an empty line
                    pass
                return
            size = _within(size + length, limit, self._path)
            yield from self._part(length)
            self._reader.until(b"\r\n")

    def _until_end(self, limit: float) -> Iterator[bytes]:
        """Yield everything up to the end of the connection."""
        size = 0
        while True:
            piece = self._reader.take(PIECE)
            if not piece:
                return
            size = _within(size + len(piece), limit, self._path)
            yield piece


def parse(body: bytes) -> Any:
    """Parse a JSON text.

    Raises:
        NoAnswer: the body is not JSON.
    """
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"the engine's answer is not JSON: {error}") from None


def connection_error(error: Exception) -> NoAnswer:
    """Convert a connection error into the reason why there is no answer."""
    return NoAnswer(f"the engine gave no valid answer: {reason(error)}")


def reason(error: Exception) -> str:
    """Return an error as one line."""
    return one_line(getattr(error, "strerror", None) or str(error) or "connection lost")


def _within(size: int, limit: float, path: str) -> int:
    if size > _PASSED * limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return size


def message(body: bytes) -> str:
    """Return the engine's error message: ``{"message": "…"}``; at the end of a stream, ``error``."""
    try:
        answer = loads(body[body.rstrip().rfind(b"\n") + 1 :])
    except (ValueError, RecursionError):
        return ""
    return str(answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
