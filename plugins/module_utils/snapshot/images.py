"""Every image: what it is told to run, and how it was built."""

from __future__ import annotations

from ..docker.http import NotFound, parse
from ..host.errors import Failed, describe
from . import docker, history
from .reading import Encoded, encode
from .runconfig import redact_config

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine
    from ..host.redact import Redactor


def read(engine: Engine, redactor: Redactor) -> Encoded:
    """The source `docker.images`."""
    connection = engine.connect(docker.LIMIT)
    try:
        identities = docker.listed(connection, engine, "/images/json")
        paths = (
            f"{engine.api}/images/{identity}/{what}"
            for identity in identities
            for what in ("json", "history")
        )
        bodies = connection.get_all(paths)
        texts, size = [], 0
        for identity, inspected, layers in zip(identities, bodies, bodies):
            if isinstance(inspected, NotFound) or isinstance(layers, NotFound):
                continue  # removed since it was listed
            text = encode(_entry(identity, inspected, layers, redactor))
            size += len(text)
            if size > docker.MAX_TEXT:
                raise Failed(f"the images' facts are larger than {docker.MAX_TEXT} bytes")
            texts.append(text)
    finally:
        connection.close()
    return Encoded("[" + ",".join(texts) + "]")


def _entry(
    identity: str, inspected: bytes | Failed, layers: bytes | Failed, redactor: Redactor
) -> dict[str, Any]:
    """What is known of an image; one that cannot be read says why, and the others are read.

    Raises:
        NoEngine: it is not the image's fault.
    """
    try:
        return _image(f"image {identity}", docker.success(inspected), docker.success(layers), redactor)
    except docker.NoEngine:
        raise
    except Exception as error:  # whatever an image brings about
        unread = {"Id": identity, "Config": None}
        return {"inspect": unread, "history": [], "error": describe(error)}


def _image(where: str, inspected: bytes, layers: bytes, redactor: Redactor) -> dict[str, Any]:
    inspect = docker.complete("/images/{id}/json", parse(inspected))
    entries = docker.complete("/images/{id}/history", parse(layers))
    environment = (inspect.get("Config") or {}).get("Env")
    cleaned = history.redact(entries, environment, redactor, where)
    for key in ("Config", "ContainerConfig"):
        redact_config(inspect.get(key) or {}, redactor, where)
    return {
        "inspect": redactor.forms(inspect, inspected, where),
        "history": redactor.forms(cleaned, layers, where),
    }
