"""Ask a Docker engine over its socket."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from typing import Any, Callable
from urllib.parse import quote

from host_converge.errors import Failed


class NoAnswer(Exception):  # noqa: N818 - a state of the world
    """The engine does not answer, or not with what was asked for."""


class NotThere(NoAnswer):
    """The engine answers that it has no such thing."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine behind a Unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, path: str, timeout: float = 20) -> Any:
        """JSON answer to a GET request.

        Raises:
            NotThere: there is no such thing.
            NoAnswer: there is no engine, or it refuses.
        """
        connection = _Connection(self.path, timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status >= 400:
                kind = NotThere if response.status == 404 else NoAnswer
                raise kind(f"GET {path}: {response.status} {body[:200].decode(errors='replace').strip()}")
            return json.loads(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswer(f"{self.path}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def info(self) -> dict[str, Any] | None:
        """What the engine says of itself, None where it does not answer."""
        try:
            answer = self.get("/info")
        except NoAnswer:
            return None
        return answer if isinstance(answer, dict) else None

    def bridge(self) -> dict[str, str]:
        """Options of the default bridge; none where there is no such network."""
        try:
            options = self.get("/networks/bridge").get("Options")
        except NotThere:
            return {}
        return options if isinstance(options, dict) else {}

    def running(self) -> list[dict[str, Any]]:
        """Inspect data of every container that runs."""
        found = []
        for container in self.get("/containers/json"):
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
        answer: dict[str, Any] = self.get(f"/containers/{quote(container, safe='')}/json")
        return answer

    def pid(self) -> int:
        """Process id of whoever listens on the socket.

        Raises:
            NoAnswer: nobody does.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
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
