"""Read the files of an image through the engine, if its layers cannot be read from the disk.

A container is created and never started, since the engine serves only files of containers; exporting a whole
image takes a hundred times as long. The container is removed again; the next run removes those of a killed
run.
"""

from __future__ import annotations

import io
import posixpath
import secrets
import tarfile
from typing import Any

from ..docker import http
from ..docker.client import Engine, quoted
from ..docker.http import NotFound
from ..host.errors import Failed
from .files import MAX_FILE, Files, TooLarge, bounded

_LABEL = "hardener.scan"
_NAME = "hardener-scan-"
_MAX_LINKS = 8


class ArchiveFiles(Files):
    """An image's files, as a context manager.

    Args:
        engine: the engine with the image.
        identity: the image's id.
    """

    def __init__(self, engine: Engine, identity: str) -> None:
        self._engine = engine
        self._image = identity
        self._container = ""
        self._known: dict[str, bytes] = {}

    def __enter__(self) -> ArchiveFiles:
        body = {
            "Image": self._image,
            "Entrypoint": ["/never-started"],  # a container cannot be created without a command
            "Labels": {_LABEL: "reading"},
            "NetworkDisabled": True,
            "HostConfig": {"NetworkMode": "none"},
        }
        made = self._engine.call("POST", f"/containers/create?name={_NAME}{secrets.token_hex(8)}", body)
        self._container = str(made["Id"])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if not _remove(self._engine, self._container) and kind is None:
            # `docker container prune` removes it as well; then a missing file is an error, not an absence.
            raise Failed("the container that was created to read the image was removed meanwhile: scan again")

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        for _link in range(_MAX_LINKS):
            if path in self._known:
                return self._known[path]
            member, content = self._first(path)
            if member is None or not member.issym():
                return content
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        return None

    def names(self, path: str) -> list[str]:
        """Return the names of files and links in a folder; also read and keep the content of its files."""
        found: list[str] = []
        for member, content in self._members(path):
            parts = member.name.strip("/").split("/")
            if len(parts) == 2 and (content is not None or member.issym()):
                found.append(parts[1])
                if content is not None:
                    self._known[f"{path}/{parts[1]}"] = content
        return bounded(path, found)

    def _first(self, path: str) -> tuple[tarfile.TarInfo | None, bytes | None]:
        return next(iter(self._members(path)), (None, None))

    def _members(self, path: str) -> list[tuple[tarfile.TarInfo, bytes | None]]:
        """Return the entries of the engine's archive of a path, with the content of files."""
        url = f"/containers/{self._container}/archive?path={quoted(path)}"
        try:
            data = self._engine.ask("GET", url, limit=MAX_FILE)
        except NotFound:
            return []
        except http.TooLarge as error:
            raise TooLarge(str(error)) from None
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as packed:
                return [(member, _content(packed, member)) for member in packed]
        except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
            raise Failed(f"the archive of {path} from the engine cannot be read: {error}") from None


def _content(packed: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = packed.extractfile(member) if member.isreg() or member.islnk() else None
    return file.read() if file else None


def remove_leftovers(engine: Engine) -> None:
    """Remove containers of a killed run; there is only one run at a time on a host."""
    query = quoted(f'{{"label":["{_LABEL}=reading"],"status":["created"]}}')
    listed: list[dict[str, Any]] = engine.call("GET", f"/containers/json?all=1&filters={query}") or []
    for container in listed:
        # The label may come from the image, and so be on another user's container; the name is set by the
        # creator.
        if any(str(name).startswith(f"/{_NAME}") for name in container.get("Names") or ()):
            _remove(engine, str(container["Id"]))


def _remove(engine: Engine, container: str) -> bool:
    """Remove a container with its anonymous volumes; return whether it existed."""
    try:
        engine.call("DELETE", f"/containers/{container}?force=1&v=1")
    except NotFound:
        return False
    return True
