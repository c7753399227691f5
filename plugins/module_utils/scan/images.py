"""List the images of the host's engine, and read the files of each."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, NamedTuple

from ..docker.client import Engine, quoted
from ..host.errors import Failed
from .archive import ArchiveFiles
from .files import Files, TooLarge
from .layers import Layers

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
