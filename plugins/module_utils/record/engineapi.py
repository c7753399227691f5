"""Ask and tell the Docker engine over its socket, with hard limits of size and time."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Iterator, Mapping
from urllib.parse import quote, urlencode

from ..host.errors import Failed, describe
from ..host.text import one_line

_LONGEST_ANSWER = 32 << 20
_CHUNK = 1 << 20


class Gone(Failed):
    """The engine has no such thing."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine behind a socket.

    Args:
        path: the socket.
        api: how paths begin, such as ``/v1.45``; empty for the engine's newest.
    """

    def __init__(self, path: str, api: str = "") -> None:
        self.path = path
        self._api = api

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The answer to a question, as JSON data.

        Raises:
            Gone: there is no such thing.
            Failed: the engine refuses, or does not answer like one.
        """
        return self.call("GET", path, query=query)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Any:
        """The answer to a request as JSON data; None where it is empty, text where it is none.

        Args:
            method: of HTTP.
            path: with every name in it quoted (``quoted``).
            body: sent as JSON; bytes are a tar archive.
            query: appended to the path.
            timeout: seconds without a word.
        """
        connection = _Connection(self.path, timeout)
        try:
            response = self._request(connection, method, path, body, query)
            data = response.read(_LONGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"the engine's answer to {method} {path}: {describe(error)}") from None
        finally:
            connection.close()
        if len(data) > _LONGEST_ANSWER:
            raise Failed(f"the engine's answer to {path} is larger than {_LONGEST_ANSWER} bytes")
        _check(response.status, method, path, data)
        try:
            return json.loads(data) if data.strip() else None
        except (ValueError, RecursionError):
            return data.decode("utf-8", "replace")

    def copy(self, source: str, path: str, target: str, folder: str, *, most: int) -> None:
        """Copy what is at a path of a container into a folder of another one, owners and modes included.

        The engine reads and writes inside of the containers, so that no link leads out of them.

        Raises:
            Failed: it is larger than ``most`` bytes, or cannot be read or written.
        """
        reader, writer = _Connection(self.path, 600), _Connection(self.path, 600)
        where = f"/containers/{quoted(source)}/archive"
        there = f"/containers/{quoted(target)}/archive"
        try:
            found = self._request(reader, "GET", where, None, {"path": path})
            if found.status >= 400:
                _check(found.status, "GET", where, found.read(4096))
            headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
            query = urlencode({"path": folder})
            pieces = _bounded(found, most, path)
            writer.request(
                "PUT", f"{self._api}{there}?{query}", body=pieces, headers=headers, encode_chunked=True
            )
            answer = writer.getresponse()
            _check(answer.status, "PUT", there, answer.read(4096))
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{path} cannot be copied: {describe(error)}") from None
        finally:
            reader.close()
            writer.close()

    def _request(
        self,
        connection: _Connection,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
    ) -> http.client.HTTPResponse:
        headers = {}
        data = None
        if isinstance(body, bytes):
            data, headers = body, {"Content-Type": "application/x-tar"}
        elif body is not None:
            data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        target = f"{self._api}{path}?{urlencode(query)}" if query else self._api + path
        connection.request(method, target, data, headers)
        return connection.getresponse()


def quoted(name: str) -> str:
    """A name or id as part of a path."""
    return quote(name, safe="", errors="surrogateescape")


def _check(status: int, method: str, path: str, data: bytes) -> None:
    if status < 400:
        return
    text = data.decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        pass
    kind = Gone if status == 404 else Failed
    raise kind(f"the engine refuses {method} {path}: {one_line(text)}")


def _bounded(source: http.client.HTTPResponse, most: int, what: str) -> Iterator[bytes]:
    size = 0
    while True:
        piece = source.read(_CHUNK)
        if not piece:
            return
        size += len(piece)
        if size > most:
            raise Failed(f"{what} is larger than {most} bytes")
        yield piece
