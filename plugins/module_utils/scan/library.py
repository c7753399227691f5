"""Cache the packages of images by id: an id's content never changes, so each image is read once."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ..docker import engine
from ..docker.client import Engine
from ..docker.http import NotFound
from ..host import atomic, descriptors, processes, units
from ..host.errors import Absent, Failed, describe
from ..host.once import Once
from . import VERSION, images, inventory, record
from .archive import remove_leftovers

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

    def packages(self) -> dict[images.Image, Inventory]:
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
        for image in images.listed(api):
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
            taken = images.read(api, identity, inventory.take)
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
