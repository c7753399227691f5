"""Ask the Docker engine over its socket, with the methods that the collector's client does not need."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import quote

from ..snapshot.bounds import Failed, describe
from .files import TooLarge

_LONGEST_ANSWER = 32 * 1024 * 1024


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


class EngineAPI:
    """The engine behind a socket.

    Args:
        path: the socket.
        api: how paths begin, such as ``/v1.45``.
    """

    def __init__(self, path: str, api: str) -> None:
        self._path = path
        self._api = api

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that a request is answered with; None where the answer is empty.

        Raises:
            Gone: there is no such thing.
            Failed: the engine refuses, or does not answer like one.
        """
        answer = self.bytes(method, path, body)
        try:
            return json.loads(answer) if answer.strip() else None
        except (ValueError, RecursionError) as error:
            raise Failed(f"the engine's answer to {path} is not JSON: {error}") from None

    def bytes(self, method: str, path: str, body: Any = None, limit: int = _LONGEST_ANSWER) -> bytes:
        """What a request is answered with; see ``json``.

        Raises:
            TooLarge: it is longer than ``limit``.
        """
        connection = _Connection(self._path, 60)
        try:
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, self._api + path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"the engine's answer to {path}: {describe(error)}") from None
        finally:
            connection.close()
        if len(data) > limit:
            raise TooLarge(f"the engine's answer to {path} is larger than {limit} bytes")
        if response.status >= 400:
            kind = Gone if response.status == 404 else Failed
            raise kind(f"{path}: {response.status} {data[:300].decode('utf-8', 'replace')}")
        return data


def escaped(text: str) -> str:
    """A text as a part of a path or a query; bytes of a name that are no UTF-8 stay what they are."""
    return quote(text, safe="", errors="surrogateescape")
