"""Verify every present image and every image of a container; write the record."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Iterable, Mapping

from ..contract import TRUST_FORMAT
from ..host import atomic, descriptors, layout, limits
from ..host.errors import Failed
from ..host.layout import TRUST_RECORD
from ..host.text import one_line
from . import VERSION, policy
from .chain import Verifier
from .engine import Engine, texts
from .findings import EXEMPT, GOOD, NO_DIGEST, NOT_ALLOWED, UNREACHABLE, Finding, PolicyError
from .keys import Keys
from .registry import Registries, Settings

_FINE, _FAILED, _NOT_TRUSTED, _UNKNOWN, _INTERRUPTED = 0, 1, 3, 4, 130
_MOST_NAMES = 16


def verify(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the finding of each image, after writing it on this host.

    Args:
        arguments: ``policy``, see ``trust.policy``; ``socket``, if the engine's is not the default one;
            ``record``, ``certificates`` and ``logins``, if their paths are not the default ones; ``limit``,
            seconds after which this process ends, which also bounds its memory.

    Raises:
        Failed, PolicyError: nothing could be judged, and the record is the one before.
    """
    if arguments.get("limit"):
        limits.hold(int(arguments["limit"]))
    begun = time.monotonic()
    wanted = policy.parse(arguments.get("policy"))
    settings = Settings(**{name: arguments[name] for name in Settings._fields if arguments.get(name)})
    engine, registries = Engine(str(arguments.get("socket") or "")), Registries(settings)
    now = time.gmtime()
    try:
        with Keys([key for rule in wanted.rules for key in rule.keys]) as keys:
            containerd = engine.has_containerd_store()
            today = time.strftime("%Y-%m-%d", now)
            verifier = Verifier(wanted, registries, keys, containerd=containerd, today=today)
            images = [_entry(*each, verifier, engine if containerd else None) for each in _present(engine)]
    finally:
        registries.close()
    found = {
        "schema": TRUST_FORMAT,
        "version": VERSION,
        "verified_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        "elapsed_ms": int((time.monotonic() - begun) * 1000),
        "policy": wanted.digest,
        "images": images,
    }
    write(found, str(arguments.get("record") or layout.TRUST_RECORD))
    return found


def main() -> int:
    """Verify with the installed policy, as the timer does; print the images that are not trusted."""
    try:
        found = verify({"policy": read_policy()})
    except (Failed, PolicyError) as error:
        print(f"hardener: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    untrusted = [image for image in found["images"] if image["status"] not in (*GOOD, EXEMPT)]
    for image in untrusted:
        name = (image["names"] or [image["id"]])[0]
        print("{}: {}: {}".format(image["status"], one_line(name), image["detail"]))
    print("{} images, {} of them not trusted".format(len(found["images"]), len(untrusted)))
    if all(image["status"] == UNREACHABLE for image in untrusted):
        return _UNKNOWN if untrusted else _FINE
    return _NOT_TRUSTED


def read_policy(path: str = layout.POLICY) -> Any:
    """Return the installed policy.

    Raises:
        PolicyError: there is none that can be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise PolicyError(f"{path} is not JSON") from None


def _present(engine: Engine) -> Iterable[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return every image, with its containers."""
    images = {str(image.get("Id")): image for image in engine.images()}
    containers: dict[str, list[dict[str, Any]]] = {}
    for container in engine.containers():
        containers.setdefault(str(container.get("ImageID")), []).append(container)
    for identity in containers:
        if identity not in images:  # its last tag was moved to another image, or it was removed by force
            try:
                images[identity] = engine.image(identity)
            except KeyError:
                images[identity] = {"Id": identity, "gone": True}
    return [(image, containers.get(identity, [])) for identity, image in images.items()]


def _entry(
    image: dict[str, Any],
    containers: list[dict[str, Any]],
    verifier: Verifier,
    containerd: Engine | None,
) -> dict[str, Any]:
    if image.get("gone"):
        found = Finding(NO_DIGEST, "containers were created from the image, but the engine no longer has it")
    else:
        found = _finding(image, verifier, containerd)
    names = [*texts(image, "RepoTags"), *texts(image, "RepoDigests")]
    return {
        "id": str(image.get("Id")),
        "names": [name for name in names if not name.startswith("<none>")][:_MOST_NAMES],
        "status": found.status,
        "detail": one_line(found.detail),
        "rule": found.rule,
        "until": found.until,
        "containers": [_container(each) for each in containers],
    }


def _finding(image: dict[str, Any], verifier: Verifier, containerd: Engine | None) -> Finding:
    """Return the finding of an image; an error becomes a finding, so that the record is written."""
    try:
        found = verifier.image(image)
        if found.status == NOT_ALLOWED and containerd and containerd.is_local(str(image.get("Id"))):
            return Finding(NO_DIGEST, "the image was built or loaded on this host")
        return found
    except Failed:
        raise
    except Exception as error:  # any error: the other images are verified, and this one never passes
        return Finding(UNREACHABLE, f"the image could not be judged: {type(error).__name__}: {error}")


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    names = texts(container, "Names")
    called = str(container.get("Image"))
    return {
        "name": one_line((names or [str(container.get("Id"))])[0].lstrip("/")),
        "running": container.get("State") == "running",
        # A tag may refer to another image the next time the container is created.
        "by_digest": "@sha256:" in called or called.startswith("sha256:"),
    }


def write(record: Mapping[str, Any], path: str = TRUST_RECORD) -> None:
    """Replace the record.

    Raises:
        Failed: it cannot be written; the one before stays.
    """
    try:
        atomic.make_folders(os.path.dirname(path), 0o700)
        atomic.write(path, json.dumps(record, separators=(",", ":")).encode())
    except OSError as error:
        raise Failed(f"cannot write {descriptors.described(error, path)}") from None
