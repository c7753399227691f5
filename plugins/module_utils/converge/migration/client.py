"""Change an engine over its socket, and pass images from one engine to another without a file in between."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode

from ..engineapi import Engine
from ..errors import Failed

_CHUNK = 1 << 20
_SHOWN = 300
_LONG = 3600.0  # a large image takes its time, and the worker is in nobody's way


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client(Engine):
    """An engine that can be asked, and told."""

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
        timeout: float = 120,
    ) -> Any:
        """One request; the answer as JSON data, None where it has no content.

        Args:
            method: of HTTP.
            path: with every name in it quoted (``name``).
            body: sent as JSON.
            query: appended to the path.
            accept: status codes above 399 that are as good as success.
            timeout: in seconds.

        Raises:
            Failed: the engine refuses, or does not answer.
        """
        connection = _Connection(self.path, timeout)
        target = f"{path}?{urlencode(query)}" if query else path
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            connection.request(method, target, body=data, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{self.path}: {method} {path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status >= 400 and response.status not in accept:
            raise Failed(f"the engine refuses {method} {path}: {_said(answer)}")
        try:
            return json.loads(answer) if answer.strip() else None
        except ValueError:
            return None

    def send_image(self, references: Sequence[str], other: Engine) -> None:
        """Save an image here and load it there, in one stream.

        Args:
            references: its tags, or its id; of one image.
            other: the engine that takes it.

        Raises:
            Failed: one of both did not go along.
        """
        source, target = _Connection(self.path, _LONG), _Connection(other.path, _LONG)
        what = references[0]
        try:
            query = urlencode([("names", reference) for reference in references])
            source.request("GET", f"/images/get?{query}")
            saved = source.getresponse()
            if saved.status != 200:
                raise Failed(f"the engine does not save the image {what}: {_said(saved.read())}")
            headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
            target.request(
                "POST", "/images/load?quiet=1", body=_chunks(saved), headers=headers, encode_chunked=True
            )
            loaded = target.getresponse()
            answer = loaded.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"the image {what} cannot be moved: {error or type(error).__name__}") from error
        finally:
            source.close()
            target.close()
        if loaded.status != 200 or b'"errorDetail"' in answer:
            raise Failed(f"the image {what} cannot be loaded again: {_said(answer)}")


def name(text: str) -> str:
    """A name or id as part of a path."""
    return quote(text, safe="")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        part = response.read(_CHUNK)
        if not part:
            return
        yield part


def _said(answer: bytes) -> str:
    """What the engine gives as its reason, in one line."""
    text = answer.decode(errors="replace").strip()
    lines = text.splitlines() or [""]
    try:
        parsed = json.loads(lines[-1])
        text = str(parsed.get("message") or parsed.get("error") or text)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:_SHOWN]
