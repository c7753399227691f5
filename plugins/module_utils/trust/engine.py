"""Query the engine for its images, and let it pull one."""

from __future__ import annotations

import re
from typing import Any, Mapping

from ..docker import client
from ..docker.api import USUAL_SOCKET
from ..docker.client import Lines, quoted
from ..docker.http import NoAnswer, NotFound, parse
from ..host import limited_json
from ..host.errors import Failed
from ..host.text import one_line

_SILENT = 600.0  # seconds of a pull without progress
_LARGEST = 64 * 1024 * 1024


class Engine(client.Engine):
    """The engine behind a socket; the default one if none is named."""

    def __init__(self, path: str = "") -> None:
        super().__init__(path or USUAL_SOCKET)

    def has_containerd_store(self) -> bool:
        """Return whether an image's id is the digest of its manifest, and not of its configuration."""
        status = self._object("/info").get("DriverStatus")
        pairs = [pair for pair in status if isinstance(pair, list)] if isinstance(status, list) else []
        return ["driver-type", "io.containerd.snapshotter.v1"] in pairs

    def images(self) -> list[dict[str, Any]]:
        """Return every present image: ``Id``, ``RepoTags``, ``RepoDigests``."""
        return self._list("/images/json")

    def containers(self) -> list[dict[str, Any]]:
        """Return every container: ``Names``, ``Image`` as it was named, ``ImageID``, ``State``."""
        return self._list("/containers/json?all=1")

    def image(self, name: str) -> dict[str, Any]:
        """Return one image.

        Raises:
            KeyError: there is none.
        """
        try:
            return self._object("/images/{}/json".format(quoted(name, safe="/:@")))
        except NotFound as error:
            raise KeyError(str(error)) from None

    def is_local(self, identity: str) -> bool:
        """Return whether an image of the containerd store was built or loaded here, and never pushed.

        That store makes digests of repositories from tags; API 1.53 and later also tell the origin.
        """
        version = str(self._object("/version").get("ApiVersion"))
        if tuple(map(int, re.findall("[0-9]+", version))) < (1, 53):
            return False
        known = self.image(identity).get("Identity")
        return not (isinstance(known, dict) and known.get("Pull"))

    def pull(self, repository: str, digest: str, authorization: str) -> None:
        """Pull a digest with the engine.

        Raises:
            Failed: it does not.
        """
        pull = self.target("/images/create", {"fromImage": repository, "tag": digest})
        headers = {"X-Registry-Auth": authorization or "e30="}
        try:
            with self.connect(idle=_SILENT) as connection:
                lines = Lines(connection.open("POST", pull, headers=headers))
                # A stream of progress objects; each is short.
                for line in iter(lines.next, b""):
                    progress = limited_json.parse(line) if line.strip() else {}
                    if isinstance(progress, dict) and "error" in progress:
                        raise Failed(one_line(str(progress["error"])))
        except (Failed, ValueError) as error:
            raise Failed(f"the engine cannot pull the image: {one_line(str(error))}") from None

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Tag an image.

        Raises:
            Failed: it does not get it.
        """
        self._ask("POST", self.target(f"/images/{image}/tag", {"repo": repository, "tag": tag}))

    def _object(self, path: str) -> dict[str, Any]:
        found = self._ask("GET", path)
        if not isinstance(found, dict):
            raise Failed(f"the engine at {self.path} answers {path} without a JSON object")
        return found

    def _list(self, path: str) -> list[dict[str, Any]]:
        found = self._ask("GET", path)
        if found is None:  # null means an empty list
            return []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Failed(f"the engine at {self.path} answers {path} without a list of objects")
        return found

    def _ask(self, method: str, path: str) -> Any:
        try:
            body = self.ask(method, path, limit=_LARGEST)
            return parse(body) if body else None
        except NoAnswer as error:
            raise type(error)(f"the engine at {self.path}: {error}") from None


def texts(image: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of strings of an image; null is an empty list."""
    found = image.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
