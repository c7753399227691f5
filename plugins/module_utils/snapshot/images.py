"""Read every image: what it runs, and how it was built."""

from __future__ import annotations

from functools import partial

from ..docker.http import NoAnswer, NotFound, parse
from ..host.errors import describe
from . import docker, history
from .entries import Entries, redact_config

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine
    from ..host.redact import Redactor
    from .scheduler import Encoded

_MAX_TEXT = 20 * 1024 * 1024
_MAX_MARKS = 600_000


def read(engine: Engine, redactor: Redactor) -> Encoded:
    """Return the source `docker.images`."""
    identities = docker.listing(engine, "/images/json")
    bodies = docker.bodies(
        engine,
        [f"{engine.api}/images/{identity}/{what}" for identity in identities for what in ("json", "history")],
    )
    entries = Entries(_MAX_TEXT, _MAX_MARKS)
    for identity, inspected, layers in zip(identities, bodies, bodies):
        if isinstance(inspected, NotFound) or isinstance(layers, NotFound):
            continue  # removed since it was listed
        entry = _entry(identity, inspected, layers, redactor)
        entries.add(entry, partial(_unread, identity))
    return entries.encoded()


def _entry(
    identity: str, inspected: bytes | NoAnswer, layers: bytes | NoAnswer, redactor: Redactor
) -> dict[str, Any]:
    """Return the entry of an image; an unreadable one gets a reason, and the others are read.

    Raises:
        NoEngine: it is not the image's fault.
    """
    try:
        return _image(f"image {identity}", docker.success(inspected), docker.success(layers), redactor)
    except docker.NoEngine:
        raise
    except Exception as error:  # any error that an image may cause
        return _unread(identity, describe(error))


def _unread(identity: str, reason: str) -> dict[str, Any]:
    return {"inspect": {"Id": identity, "Config": None}, "history": [], "error": reason}


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
