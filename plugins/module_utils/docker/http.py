"""Read answers of an HTTP/1.1 server with hard limits of size.

`http.client` would do for one request after another; its import costs a fifth of a collection, and it
knows no limit of size or of total time.
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
_PASSED = 32  # times the limit: what is larger ends the connection, less is received and left
_MAX_HEAD = 65536
# What a program in a container writes.
_STREAMS = (b"application/vnd.docker.raw-stream", b"application/vnd.docker.multiplexed-stream")


class NoAnswer(Failed):
    """The engine does not answer, refuses, or answers what no engine does."""


class NotFound(NoAnswer):
    """The engine says 404: there is no such thing, or not any more."""


class TooLarge(NoAnswer):
    """An answer is larger than was asked for; the next one on the connection can be read."""


class Reader:
    """What a connection has received, and what of it is used up.

    Args:
        receive: waits for more, and returns it; nothing where the connection has ended.
    """

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._data = b""  # up to `_at` it is used up
        self._at = 0

    def until(self, mark: bytes) -> bytes:
        """Return the data up to a mark, which is used up with it.

        Raises:
            ValueError: it does not come.
        """
        while True:
            end = self._data.find(mark, self._at)
            if end >= 0:
                begin, self._at = self._at, end + len(mark)
                return self._data[begin:end]
            if len(self._data) - self._at > _MAX_HEAD:
                raise ValueError("a head without end")
            if not self._more():
                raise ValueError("connection lost")

    def take(self, most: int) -> bytes:
        """Return some of the data, at most so many bytes; nothing where the connection has ended."""
        if self._at == len(self._data) and not self._more():
            return b""
        begin = self._at
        self._at = min(begin + most, len(self._data))
        return self._data[begin : self._at]

    def _more(self) -> bool:
        piece = self._receive()
        self._data = self._data[self._at :] + piece
        self._at = 0
        return bool(piece)


class Answer:
    """An answer whose head has been read: its status, and its body piece by piece.

    Args:
        reader: where it comes from.
        path: what was asked for.

    Raises:
        OSError, ValueError: the connection is lost, or what comes is no HTTP.
    """

    def __init__(self, reader: Reader, path: str) -> None:
        first, *lines = reader.until(b"\r\n\r\n").split(b"\r\n")
        version, _separator, self._said = first.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("it is not HTTP")
        self.status = int(self._said[:3])
        self.head = {
            name.lower(): value.strip()
            for name, _separator, value in (line.partition(b":") for line in lines)
        }
        # Where it does not say how long it is.
        self._ends = (
            version == b"HTTP/1.0"
            or self.head.get(b"connection", b"").lower() == b"close"
            or self.head.get(b"content-type") in _STREAMS
        )
        self._reader = reader
        self._path = path

    def pieces(self, limit: float = FOREVER) -> Iterator[bytes]:
        """Yield the body as it comes.

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
            raise ValueError("no length is given")
        return self._rest(limit)

    def all(self, limit: int, *, accept: Iterable[int] = (), last: bool = False) -> bytes | NoAnswer:
        """Return the body; or, where it is no success, why, as an exception.

        Args:
            limit: bytes; a larger one is received, and not kept.
            accept: status codes that are success beside 200 to 299.
            last: nothing else is read from the connection: what is too large is left there.

        Raises:
            OSError, ValueError: the connection is lost, or what comes is no HTTP.
        """
        body = bytearray()  # a chunk may be as small as a byte
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
        """Return whether the status is one of success, or one of those that are as good."""
        return 200 <= self.status < 300 or self.status in accept

    def _part(self, length: int) -> Iterator[bytes]:
        """So many bytes."""
        while length > 0:
            piece = self._reader.take(min(length, PIECE))
            if not piece:
                raise ValueError("connection lost")
            length -= len(piece)
            yield piece

    def _chunks(self, limit: float) -> Iterator[bytes]:
        """A body in chunks."""
        size = 0
        while True:
            length = int(self._reader.until(b"\r\n").partition(b";")[0], 16)
            if length < 0:
                raise ValueError("a chunk of negative length")
            if length == 0:
                while self._reader.until(b"\r\n"):  # trailers, up to an empty line
                    pass
                return
            size = _within(size + length, limit, self._path)
            yield from self._part(length)
            self._reader.until(b"\r\n")

    def _rest(self, limit: float) -> Iterator[bytes]:
        """All that comes until the connection ends."""
        size = 0
        while True:
            piece = self._reader.take(PIECE)
            if not piece:
                return
            size = _within(size + len(piece), limit, self._path)
            yield piece


def parse(body: bytes) -> Any:
    """Return a JSON text, parsed.

    Raises:
        NoAnswer: it is none.
    """
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"the engine's answer is not JSON: {error}") from None


def lost(error: Exception) -> NoAnswer:
    """Return why there is no answer, from what went wrong on the connection."""
    return NoAnswer(f"the engine's answer: {reason(error)}")


def reason(error: Exception) -> str:
    """Return what went wrong, in a line."""
    return one_line(getattr(error, "strerror", None) or str(error) or "connection lost")


def _within(size: int, limit: float, path: str) -> int:
    if size > _PASSED * limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return size


def message(body: bytes) -> str:
    """Return what the engine says of an error: ``{"message": "…"}``; at the end of a stream, ``error``."""
    try:
        answer = loads(body[body.rstrip().rfind(b"\n") + 1 :])
    except (ValueError, RecursionError):
        return ""
    return str(answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
