"""Ask a Docker engine over its socket, in HTTP/1.0: the answer ends with the connection and is not chunked.

Python's own client would cost more time to import than all else that a run without changes does.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from typing import Any, Callable

from ..docker import answers
from .errors import Failed

_MAX_ANSWER = 256 * 1024 * 1024
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class NoAnswer(Exception):  # noqa: N818 - a state of the world
    """The engine does not answer, or not with what was asked for."""


class NotThere(NoAnswer):
    """The engine answers that it has no such thing."""


class Engine:
    """The engine behind a Unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, path: str, timeout: float = 20) -> Any:
        """JSON answer to a GET request, with all that every engine sends.

        Raises:
            NotThere: there is no such thing.
            NoAnswer: there is no engine, it refuses, or what answers is none.
        """
        try:
            answer = json.loads(self._request("GET", path, timeout))
            endpoint = answers.endpoint(path)
            return answers.complete(endpoint, answer) if endpoint else answer
        except (ValueError, RecursionError, answers.Incomplete) as error:
            raise NoAnswer(f"{self.path}: {error}") from error

    def _request(self, method: str, path: str, timeout: float) -> bytes:
        """Body of the answer.

        Raises:
            NotThere: there is no such thing.
            NoAnswer: there is no engine, or it refuses.
        """
        try:
            head, _, body = self._ask(method, path, timeout).partition(b"\r\n\r\n")
            status = int(head.split(None, 2)[1])
        except (OSError, ValueError, IndexError) as error:
            raise NoAnswer(f"{self.path}: {error or type(error).__name__}") from error
        if status < 400:
            return body
        said = f"{method} {path}: {status} {body[:200].decode(errors='replace').strip()}"
        raise NotThere(said) if status == 404 else NoAnswer(said)

    def _ask(self, method: str, path: str, timeout: float) -> bytes:
        answer = bytearray()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(self.path)
            connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            while True:
                part = connection.recv(65536)
                if not part:
                    return bytes(answer)
                answer += part
                if len(answer) > _MAX_ANSWER:
                    raise ValueError(f"the answer has more than {_MAX_ANSWER} bytes")

    def info(self) -> dict[str, Any] | None:
        """What the engine says of itself, None where it does not answer."""
        try:
            answer: dict[str, Any] = self.get("/info")
        except NoAnswer:
            return None
        return answer

    def bridge(self) -> dict[str, str]:
        """Options of the default bridge; none where there is no such network."""
        try:
            return self.get("/networks/bridge")["Options"] or {}
        except NotThere:
            return {}

    def running(self) -> list[dict[str, Any]]:
        """Inspect data of every container that runs."""
        found = []
        for container in self.get("/containers/json") or ():
            try:
                found.append(self.inspect(container["Id"]))
            except NotThere:  # ended since it was listed
                continue
        return [container for container in found if container["State"].get("Running")]

    def inspect(self, container: str) -> dict[str, Any]:
        """Inspect data of a container.

        Raises:
            NotThere: it is gone.
        """
        if not _CONTAINER.fullmatch(container):
            raise NotThere(f"{container!r} is no container")
        answer: dict[str, Any] = self.get(f"/containers/{container}/json")
        return answer

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            NoAnswer: it does not start.
        """
        if not _CONTAINER.fullmatch(container):
            raise NotThere(f"{container!r} is no container")
        self._request("POST", f"/containers/{container}/start", timeout=60)

    def pid(self) -> int:
        """Process id of whoever listens on the socket.

        Raises:
            NoAnswer: nobody does.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(20)  # one that hangs takes nobody any more
                connection.connect(self.path)
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except OSError as error:
            raise NoAnswer(f"{self.path}: {error}") from error
        return int(struct.unpack("iII", credentials)[0])


def wait_for(what: str, ready: Callable[[], bool], *, seconds: float) -> None:
    """Wait until something is so.

    Raises:
        Failed: it did not become so in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise Failed(f"{what} within {seconds:.0f} s")
        time.sleep(0.1)
