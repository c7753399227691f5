"""List the engine's images, and cache their packages: the content of an id never changes."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Mapping, NamedTuple

from ..docker import engine
from ..docker.client import Engine, quoted
from ..docker.http import NotFound
from ..host import atomic, descriptors, processes, units
from ..host.errors import Absent, Failed, describe
from ..host.once import Once
from . import VERSION, inventory, record
from .archive import ArchiveFiles, remove_leftovers
from .files import Files, TooLarge
from .layers import Layers

Inventory = Mapping[str, Any]  # result of `inventory.take`; or ``error``, why it failed


class Library:
    """Packages by image.

    Args:
        folder: of the cache.
        socket: the engine's, if it is not to be searched.
    """

    def __init__(self, folder: str, socket: str | None) -> None:
        self._folder = folder
        self._socket = socket
        self.read = 0  # how many were not in the cache

    def packages(self) -> dict[Image, Inventory]:
        """Return the packages of every image of the engine; none if there is no engine.

        Raises:
            Failed: the engine does not answer.
        """
        try:
            api = self._engine()
        except Absent:
            return {}
        remove_leftovers(api)
        found = {}
        for image in listed(api):
            try:
                found[image] = self._of(api, image.identity)
            except NotFound:
                continue  # removed since it was listed
        self._forget({_file_name(image.identity) for image in found})
        return found

    def _engine(self) -> Engine:
        """Return the host's engine, found as the collector finds it."""
        found = engine.find(Once(processes.scan), Once(units.read), self._socket)
        if not found.installed:
            raise Absent("no Docker engine is installed")
        if not found.api or found.socket is None:
            raise Failed(found.error or "the engine does not answer")
        return Engine(found.socket, found.api)

    def _of(self, api: Engine, identity: str) -> Inventory:
        path = os.path.join(self._folder, _file_name(identity))
        known = record.read_json(path)
        if known.get("version") == VERSION and known.get("id") == identity:
            return known
        self.read += 1
        try:
            taken = read(api, identity, inventory.take)
        except NotFound:
            raise
        except (OSError, ValueError, Failed, Absent) as error:
            return {"error": describe(error)}
        record.write_json(path, {"version": VERSION, "id": identity, **taken})
        return taken

    def _forget(self, names: set[str]) -> None:
        """Remove removed images from the cache."""
        if os.path.isdir(self._folder):
            for name in set(descriptors.names(self._folder)) - names:
                atomic.remove(os.path.join(self._folder, name))


def _file_name(identity: str) -> str:
    return f"{identity.partition(':')[2]}.json"


MAX_IMAGES = 5000
_MAX_LAYERS = 128
_MAX_NAMES = 20
_ID = re.compile(r"sha256:[0-9a-f]{64}")


class Image(NamedTuple):
    """An image as the engine lists it."""

    identity: str
    names: tuple[str, ...]


def listed(engine: Engine) -> list[Image]:
    """Return every image of the engine once.

    Raises:
        Failed: the engine does not say, or has too many.
    """
    found: dict[str, Image] = {}
    for entry in engine.call("GET", "/images/json") or ():
        identity = str(entry.get("Id"))
        if not _ID.fullmatch(identity):
            raise Failed(f"the engine lists an image without a usable id: {identity[:80]!r}")
        names = [str(name) for name in entry.get("RepoTags") or () if name != "<none>:<none>"]
        names += [str(name) for name in entry.get("RepoDigests") or () if not str(name).startswith("<none>@")]
        found.setdefault(identity, Image(identity, tuple(names[:_MAX_NAMES])))
    if len(found) > MAX_IMAGES:
        raise Failed(f"there are more than {MAX_IMAGES} images")
    return list(found.values())


def read(engine: Engine, identity: str, take: Callable[[Files], dict[str, Any]]) -> dict[str, Any]:
    """Read an image with `take`: from its layers on the disk, else through the engine.

    Raises:
        NotFound: there is no such image any more.
        Failed: its files can be had in neither way.
    """
    layers = layer_folders(engine.call("GET", f"/images/{quoted(identity)}/json"))
    if layers:
        try:
            return take(Layers(layers))
        except TooLarge:
            raise  # the engine would return no less
        except Failed:
            pass  # metadata that only the engine's own driver interprets
    with ArchiveFiles(engine, identity) as files:
        return take(files)


def layer_folders(inspected: Any) -> list[str]:
    """Return the folders of an image's layers, topmost first; none if they cannot be read from the disk."""
    driver = inspected.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    if driver.get("Name") != "overlay2" or not data.get("UpperDir"):
        return []
    folders = [str(data["UpperDir"]), *str(data.get("LowerDir") or "").split(":")]
    folders = [folder for folder in folders if folder]
    # An engine behind a forwarded socket may name folders of another machine.
    usable = (
        len(folders) <= _MAX_LAYERS and all(map(os.path.isabs, folders)) and all(map(os.path.isdir, folders))
    )
    return folders if usable else []
