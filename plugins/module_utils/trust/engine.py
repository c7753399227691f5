"""Ask the engine of this host, over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Mapping
from urllib.parse import quote, urlencode

from .words import Failed, one_line

SOCKET = "/run/docker.sock"
_TIMEOUT = 60.0
_PULL_TIMEOUT = 600.0  # without a word of progress
_LARGEST = 64 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _NotFound(Failed):
    """It has no such thing."""


class Engine:
    """The engine behind a socket, asked over one connection."""

    def __init__(self, path: str = "") -> None:
        self._path = path or SOCKET
        self._connection = _Connection(self._path, _TIMEOUT)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def has_containerd_store(self) -> bool:
        """Whether an image's id is the digest of its manifest, and not of its configuration."""
        status = self._object("/info").get("DriverStatus")
        pairs = [pair for pair in status if isinstance(pair, list)] if isinstance(status, list) else []
        return ["driver-type", "io.containerd.snapshotter.v1"] in pairs

    def images(self) -> list[dict[str, Any]]:
        """Every image that is present: ``Id``, ``RepoTags``, ``RepoDigests``."""
        return self._list("/images/json")

    def containers(self) -> list[dict[str, Any]]:
        """Every container: ``Names``, ``Image`` as it was called, ``ImageID``, ``State``."""
        return self._list("/containers/json?all=1")

    def image(self, name: str) -> dict[str, Any]:
        """One image.

        Raises:
            KeyError: there is none.
        """
        try:
            return self._object("/images/{}/json".format(quote(name, safe="/:@")))
        except _NotFound as error:
            raise KeyError(str(error)) from None

    def pull(self, repository: str, digest: str, authorization: str) -> None:
        """Have the engine pull a digest.

        Raises:
            Failed: it does not.
        """
        query = urlencode({"fromImage": repository, "tag": digest})
        connection = _Connection(self._path, _PULL_TIMEOUT)
        try:
            connection.request(
                "POST", "/images/create?" + query, headers={"X-Registry-Auth": authorization or "e30="}
            )
            response = connection.getresponse()
            if response.status != 200:
                raise Failed(f"the engine does not pull: {_message(response.read(_LARGEST))}")
            # One object of progress after the other; each is short.
            for line in iter(lambda: response.readline(_LONGEST_LINE), b""):
                progress = json.loads(line) if line.strip() else {}
                if isinstance(progress, dict) and "error" in progress:
                    raise Failed("the engine does not pull: {}".format(one_line(str(progress["error"]))))
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise Failed(f"the engine's pull: {one_line(str(error))}") from None
        finally:
            connection.close()

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image a tag.

        Raises:
            Failed: it does not get it.
        """
        self._ask("POST", "/images/{}/tag?{}".format(image, urlencode({"repo": repository, "tag": tag})))

    def _object(self, path: str) -> dict[str, Any]:
        found = self._ask("GET", path)
        if not isinstance(found, dict):
            raise Failed(f"the engine at {self._path} answers {path} with no object")
        return found

    def _list(self, path: str) -> list[dict[str, Any]]:
        found = self._ask("GET", path)
        if found is None:  # so it says that there are none
            return []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Failed(f"the engine at {self._path} answers {path} with no list of objects")
        return found

    def _ask(self, method: str, path: str) -> Any:
        try:
            self._connection.request(method, path)
            response = self._connection.getresponse()
            body = response.read(_LARGEST + 1)
            if len(body) > _LARGEST:
                raise ValueError("it is too large")
            if response.status == 404:
                raise _NotFound(f"the engine has no such thing: {_message(body)}")
            if response.status >= 400:
                raise Failed(f"the engine answers {response.status}: {_message(body)}")
            return json.loads(body) if body else None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            self._connection.close()
            said = getattr(error, "strerror", "") or str(error)
            raise Failed(f"the engine at {self._path}: {one_line(said)}") from None


def texts(image: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts of an image; the engine says null where it has none."""
    found = image.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _message(body: bytes) -> str:
    try:
        return one_line(str(json.loads(body)["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return one_line(body.decode("utf-8", "replace"))
