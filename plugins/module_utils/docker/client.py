"""Query and change an engine, with one connection per request; read a stream line by line."""

from __future__ import annotations

import time
from json import dumps
from typing import Any, Iterable, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode

from . import answers
from .api import MAX_BODY, Connection
from .http import FOREVER, Answer, NoAnswer, connection_error, parse

Query = Optional[Union[Mapping[str, str], Sequence[Tuple[str, str]]]]
_MAX_ANSWER = 8 * MAX_BODY
_LONGEST_LINE = 1024 * 1024


class Engine:
    """The engine behind a socket, with one connection per request.

    Args:
        path: the socket.
        api: prefix of paths, such as ``/v1.45``.
    """

    def __init__(self, path: str, api: str = "") -> None:
        self.path = path
        self.api = api

    def get(self, path: str, query: Query = None, *, seconds: float = 20) -> Any:
        """Return the JSON answer to a GET request, with its required fields checked.

        Raises:
            NotFound: there is no such thing.
            NoAnswer: there is no engine, it refuses, or what answers is none.
        """
        answer = parse(self.ask("GET", path, query=query, seconds=seconds, limit=_MAX_ANSWER))
        endpoint = answers.endpoint(path)
        try:
            return answers.complete(endpoint, answer) if endpoint else answer
        except answers.Incomplete as error:
            raise NoAnswer(f"{self.path}: {error}") from None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query = None,
        seconds: float = 60,
        accept: Iterable[int] = (),
    ) -> Any:
        """Return the JSON answer to a request, None if it is empty; see ``ask``."""
        text = None if body is None else dumps(body).encode()
        answer = self.ask(method, path, text, query=query, seconds=seconds, accept=accept)
        return parse(answer) if answer.strip() else None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Query = None,
        kind: str = "application/json",
        seconds: float = 60,
        limit: int = MAX_BODY,
        accept: Iterable[int] = (),
    ) -> bytes:
        """Return the raw answer to a request.

        Args:
            method: of HTTP.
            path: with every name in it quoted.
            body: what is sent.
            query: appended to the path.
            kind: what the body is.
            seconds: until it must be answered.
            limit: bytes that the answer may have.
            accept: status codes that are success beside 200 to 299.

        Raises:
            NotFound: there is no such thing.
            TooLarge: the answer is larger than ``limit``.
            NoAnswer: there is no engine, or it refuses.
        """
        headers = {"Content-Type": kind} if body is not None else {}
        with self.connect(seconds=seconds) as connection:
            return connection.request(
                method, self.target(path, query), body, headers, limit=limit, accept=accept
            )

    def target(self, path: str, query: Query = None) -> str:
        """Return the request target: path with API version and query."""
        return f"{self.api}{path}?{urlencode(query)}" if query else self.api + path

    def connect(self, *, seconds: float = FOREVER, idle: float = FOREVER) -> Connection:
        """Return a new connection.

        Args:
            seconds: until all of it must have ended.
            idle: seconds that the engine may be silent.

        Raises:
            NoAnswer: nothing listens there.
        """
        try:
            return Connection(self.path, time.monotonic() + seconds, idle=idle)
        except NoAnswer as error:
            raise NoAnswer(f"{self.path}: {error}") from None


class Lines:
    """The lines of a long or endless answer."""

    def __init__(self, answer: Answer) -> None:
        self._pieces = answer.pieces()
        self._data = bytearray()
        self._looked = 0  # no line end up to here

    def next(self, limit: int = _LONGEST_LINE) -> bytes:
        r"""Return the next line with its line end; a line above the limit or at the end may have none.

        Raises:
            NoAnswer: the connection is lost.
        """
        try:
            while True:
                end = self._data.find(b"\n", self._looked, limit)
                self._looked = len(self._data)
                if end >= 0 or self._looked >= limit:
                    break
                piece = next(self._pieces, b"")
                if not piece:
                    break
                self._data += piece
        except (OSError, ValueError) as error:
            raise connection_error(error) from None
        length = end + 1 if end >= 0 else limit
        line = bytes(self._data[:length])
        del self._data[:length]
        self._looked = 0
        return line


def quoted(text: str, safe: str = "") -> str:
    """Quote a text for a path or a query; bytes that are not UTF-8 are preserved."""
    return quote(text, safe=safe, errors="surrogateescape")
